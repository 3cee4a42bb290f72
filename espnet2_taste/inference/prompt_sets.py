"""Prompts of a recipe's sets, one class a kind of prompt.

Enters: a set's folder and its codes. Leaves: what is to be continued, who speaks, and
which parts of the result are written. Heavy packages are imported where they are used,
so that a command can list the kinds at once.

Legend: E speaker features.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.data.prompt_words import TABLE, read_prompt_words
from espnet2_taste.data.spoken_sets import read_spoken_words

CONTINUATION = "."
"""Folder of the continuations alone."""


class AbsPromptSet(ABC):
    """Reads prompts of one kind.

    Args:
        words: First words of an utterance that are its prompt, where the set has no
            table ``prompt_words``; None for :attr:`default_words`, 0 for all.
        num_samples: Prompts of a kind that needs no utterances.
        frame: See ``SpokenTurn``.

    Attributes:
        default_words: Used when ``words`` is None.
        folders: Of the results; the continuations come last, to mark the set as done.
    """

    default_words = 0
    folders: tuple[str, ...] = (CONTINUATION,)

    def __init__(
        self,
        words: int | None = None,
        num_samples: int = 8,
        frame: tuple[str, str] | None = None,
    ):
        self.words = self.default_words if words is None else words
        self.num_samples = num_samples
        self.frame = frame

    @abstractmethod
    def read(self, folder: Path, codes_dir: Path) -> dict:
        """Prompts of a set.

        Args:
            folder: The set.
            codes_dir: Its codes.

        Returns:
            ``PromptSpec`` by utterance id.

        Raises:
            ValueError: A file is missing, or a prompt is longer than its utterance.
        """

    def voices(self, folder: Path, names: Sequence[str]) -> Mapping:
        """Speaker embeddings (E,) by utterance id: the utterance's own.

        Args:
            folder: The set.
            names: Utterance ids.
        """
        from espnet2_taste.inference.resynthesis import read_spembs

        return read_spembs(folder)

    def parts(self, given: Sequence, added: Sequence) -> tuple[Sequence, ...]:
        """What is spoken into each of :attr:`folders`.

        Args:
            given: Beginnings.
            added: Their continuations, ``WordCodes``.

        Returns:
            ``WordCodes`` of each folder.
        """
        return (added,)


class AudioPrompts(AbsPromptSet):
    """First words of the utterances, as they were spoken."""

    default_words = 4
    folders = ("prompt", "full", CONTINUATION)

    def read(self, folder, codes_dir):
        """See :meth:`AbsPromptSet.read`."""
        from espnet2_taste.slm.prompt_specs import SpokenPrompt

        spoken = read_spoken_words(codes_dir)
        items = {name: SpokenPrompt(item) for name, item in spoken.items()}
        return cut(items, folder, self.words)

    def parts(self, given, added):
        """See :meth:`AbsPromptSet.parts`."""
        spoken = [item.spoken for item in given]
        return spoken, [a + b for a, b in zip(spoken, added)], added


class InstructPrompts(AbsPromptSet):
    """Utterances as turns of a dialogue; the continuations are the answers."""

    folders = ("prompt", CONTINUATION)

    def read(self, folder, codes_dir):
        """See :meth:`AbsPromptSet.read`."""
        from espnet2_taste.slm.prompt_specs import SpokenTurn

        spoken = read_spoken_words(codes_dir)
        items = {name: SpokenTurn(item, self.frame) for name, item in spoken.items()}
        return cut(items, folder, self.words)

    def parts(self, given, added):
        """See :meth:`AbsPromptSet.parts`."""
        return [item.spoken for item in given], added


class TextPrompts(AbsPromptSet):
    """Written words of the table ``text``; codes are not needed."""

    def read(self, folder, codes_dir):
        """See :meth:`AbsPromptSet.read`."""
        from espnet2_taste.slm.prompt_specs import WrittenPrompt

        table = read_table(folder / "text")
        items = {n: WrittenPrompt(tuple(text.split())) for n, text in table.items()}
        return cut(items, folder, self.words)

    def voices(self, folder, names):
        """Their own, or where none is known the set's speakers in turn."""
        return voices_in_turn(super().voices(folder, names), names)


class UnconditionalPrompts(AbsPromptSet):
    """Nothing, some times; the set only lends its speakers."""

    def read(self, folder, codes_dir):
        """See :meth:`AbsPromptSet.read`."""
        from espnet2_taste.slm.prompt_specs import EmptyPrompt

        return {f"sample{n:04d}": EmptyPrompt() for n in range(self.num_samples)}

    def voices(self, folder, names):
        """The set's speakers in turn."""
        return voices_in_turn(super().voices(folder, names), names)


PROMPT_KINDS: dict[str, type[AbsPromptSet]] = {
    "audio": AudioPrompts,
    "text": TextPrompts,
    "unconditional": UnconditionalPrompts,
    "instruct": InstructPrompts,
}


def voices_in_turn(table: Mapping, names: Sequence[str]) -> dict:
    """Give every utterance a voice.

    Args:
        table: Speaker embeddings (E,) by utterance id, at least one.
        names: Utterance ids; those that the table lacks get its voices in turn.

    Returns:
        (E,) by utterance id.
    """
    known = sorted(table)
    others = [name for name in names if name not in table]
    chosen = dict(zip(others, cycle(known)))
    return {name: table[chosen.get(name, name)] for name in names}


def cut(items: dict, folder: Path, words: int) -> dict:
    """Leave the first words of utterances.

    Args:
        items: By utterance id, each with ``words`` and ``first``.
        folder: The set, perhaps with the table ``prompt_words`` (``utt``,
            ``n_words``), which also says which utterances are prompts.
        words: Words of a prompt without that table, 0 for all.

    Returns:
        The beginnings, of the same class, by utterance id.

    Raises:
        ValueError: A prompt is longer than its utterance, or unknown.
    """
    counts = read_prompt_words(folder)
    if counts is None:
        return {
            name: item.first(min(words, len(item.words))) if words else item
            for name, item in items.items()
        }
    prompts = {}
    for name, count in counts.items():
        found = len(items[name].words) if name in items else 0
        if not 1 <= count <= found:
            raise ValueError(
                f"{folder / TABLE}: '{name}' asks for {count} words, expected 1 to "
                f"{found}, as it has; correct the table or tokenize the set (stage 9)"
            )
        prompts[name] = items[name].first(count)
    return prompts
