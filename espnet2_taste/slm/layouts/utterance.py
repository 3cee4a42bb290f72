"""One utterance as the layouts see it: plain data, no tensors.

Enters: ids of words, units and times. Leaves: the same, cut or deduplicated.

Legend: W words, U frames of units, Q codebooks of a unit.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

Row = tuple[int, ...]


@dataclass(frozen=True)
class Utterance:
    """Text and speech of an utterance; what a layout does not keep stays empty.

    Attributes:
        words: Text ids of each word, W tuples of at least one id.
        units: Speech units, U tuples of Q ids.
        unit_rate: Units a second.
        word_times: Start and end of each word in seconds, W pairs, or empty.
        pitch: Pitch tokens, or empty.
        pitch_rate: Pitch tokens a second.
        style: Style tokens, or empty.
        style_rate: Style tokens a second.
        codes: Codes of each word, W tuples of Q, or empty.
        turn: What the words answer, if anything.
    """

    words: tuple[Row, ...] = ()
    units: tuple[Row, ...] = ()
    unit_rate: float = 25.0
    word_times: tuple[tuple[float, float], ...] = ()
    pitch: Row = ()
    pitch_rate: float = 12.5
    style: Row = ()
    style_rate: float = 1.0
    codes: tuple[Row, ...] = ()
    turn: "Turn | None" = None

    @property
    def tokens(self) -> Row:
        """Text ids of all words in a row."""
        return tuple(token for word in self.words for token in word)

    @property
    def seconds(self) -> float:
        """Length of the units."""
        return len(self.units) / self.unit_rate

    def frame(self, time: float) -> int:
        """Frame that begins nearest to a time, 0 .. U."""
        return min(max(round(time * self.unit_rate), 0), len(self.units))

    def word_frames(self) -> tuple[int, ...]:
        """Cut the frames at word starts: word w owns frames [w] to [w + 1].

        Silence belongs to the word before it, at the beginning to the first word.

        Returns:
            W + 1 frames, not decreasing, from 0 to U.

        Raises:
            ValueError: Times and words differ in number.
        """
        if len(self.word_times) != len(self.words):
            raise ValueError(
                f"expected the times of {len(self.words)} words, found "
                f"{len(self.word_times)}: align the set (stage 4) and give its ctm"
            )
        frames = [0]
        for start, _ in self.word_times[1:]:
            frames.append(max(frames[-1], self.frame(start)))
        return (*frames, len(self.units))

    def first(self, count: int) -> "Utterance":
        """Cut behind a word: the beginning that a prompt consists of.

        Args:
            count: Words to keep, 1 .. W.

        Returns:
            These words and the speech up to the end of the last one.

        Raises:
            ValueError: No such word, or no times to cut at.
        """
        if not 1 <= count <= len(self.words):
            raise ValueError(
                f"a prompt of {count} words was asked for, the utterance has "
                f"{len(self.words)}: ask for fewer"
            )
        words = {"words": self.words[:count], "codes": self.codes[:count]}
        if self.codes:
            return replace(self, **words)
        self.word_frames()  # checks the times
        end = self.word_times[count - 1][1]
        frames = max(self.frame(end), 1)
        seconds = frames / self.unit_rate
        return replace(
            self,
            **words,
            units=self.units[:frames],
            word_times=self.word_times[:count],
            pitch=self.pitch[: -int(-seconds * self.pitch_rate // 1)],
            style=self.style[: -int(-seconds * self.style_rate // 1)],
        )

    def rest(self, count: int) -> "Utterance":
        """Cut before a word: what follows the first words.

        Args:
            count: Words to leave out, 0 .. W - 1.

        Returns:
            The others, with the speech from the start of the first of them.

        Raises:
            ValueError: No times to cut at.
        """
        if not count:
            return self
        words = {"words": self.words[count:], "codes": self.codes[count:]}
        if self.codes:
            return replace(self, **words)
        self.word_frames()  # checks the times
        frame = self.frame(self.word_times[count][0])
        start = frame / self.unit_rate
        times = self.word_times[count:]
        return replace(
            self,
            **words,
            units=self.units[frame:],
            word_times=tuple((max(a - start, 0.0), b - start) for a, b in times),
            pitch=self.pitch[round(start * self.pitch_rate) :],
            style=self.style[int(start * self.style_rate) :],
        )


@dataclass(frozen=True)
class Turn:
    """Spoken words between written ones, which an answer follows.

    Attributes:
        spoken: The words with their codes.
        before: Text ids before them, BOS first.
        after: Text ids after them.
    """

    spoken: Utterance
    before: Row
    after: Row


def deduplicate(items: Sequence[Hashable]) -> tuple:
    """Leave one of each run of equal items.

    Example:
        >>> deduplicate([7, 7, 2, 7])
        (7, 2, 7)
    """
    return tuple(item for item, _ in groupby(items))


def run_lengths(items: Sequence[Hashable]) -> tuple[int, ...]:
    """Lengths of the runs of equal items, as many as :func:`deduplicate` leaves."""
    return tuple(len(list(run)) for _, run in groupby(items))
