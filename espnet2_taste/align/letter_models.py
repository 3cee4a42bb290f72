"""Models of letters that say where words begin and end, from first word times.

Enters: frames of speech (F, D), words, and for training the times of the words by
another aligner. Leaves: word times on a grid of 10 ms.

A CTC head has frames of 40 ms and peaks that say in which order words come more than
how long they last; attention is as vague. Here each letter has three states with a
Gaussian each, trained by segmental k-means (Juang and Rabiner 1990): the best path
through the letters gives every frame a state, the frames of a state give its Gaussian,
and so on. Nothing but the speech itself is needed. A silence between two words may
have no frame.

Legend: F frames, D features, W words, J states of an utterance, K states of the models.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espnet2_taste.align.viterbi import IMPOSSIBLE, best_path
from espnet2_taste.data.files import whole_file

STATES = 3  # of a letter
FRAME_RATE = 100.0
SKIP_COST = 4.0  # log-likelihood for leaving out a state of a letter
LEAST_FRAMES = 20  # of which a Gaussian is made; with fewer, the mean of all speech
FLOOR = 0.05  # of a variance, as a share of that of all speech


@dataclass(frozen=True)
class TimedFrames:
    """An utterance to learn from.

    Attributes:
        frames: (F, D).
        words: W words.
        times: Begin and end of each in seconds, (W, 2).
    """

    frames: np.ndarray
    words: tuple[str, ...]
    times: np.ndarray


@dataclass(frozen=True)
class Spelling:
    """States of an utterance in the order in which they are spoken.

    Attributes:
        models: Which model each is, 0 for silence, (J,).
        word: Word of each, -1 for silence, (J,).
    """

    models: np.ndarray
    word: np.ndarray

    @classmethod
    def of(cls, words: Sequence[str], letters: str) -> "Spelling":
        """Silence, the letters of a word, silence and so on.

        Args:
            words: W words.
            letters: Those that have models; all others share the model behind them.
        """
        models, owner = [0], [-1]
        for index, word in enumerate(words):
            for letter in word:
                place = letters.find(letter)
                first = 1 + STATES * (place if place >= 0 else len(letters))
                models += range(first, first + STATES)
                owner += [index] * STATES
            models.append(0)
            owner.append(-1)
        return cls(np.array(models), np.array(owner))

    def even_path(self, times: np.ndarray, frames: int) -> np.ndarray:
        """State of each frame if those of a word are equally long, (F,)."""
        path = np.zeros(frames, dtype=np.int64)
        silences = np.flatnonzero(self.word < 0)
        edges = (times * FRAME_RATE).round().astype(int).clip(0, frames)
        for index, (begin, end) in enumerate(edges):
            states = np.flatnonzero(self.word == index)
            length = max(end - begin, 0)
            path[begin:end] = states[np.arange(length) * len(states) // max(length, 1)]
            path[max(begin, end) :] = silences[index + 1]
        return path


class LetterModels:
    """Gaussians with diagonal covariance.

    Args:
        letters: Letters that have models.
        mean: (K, D), silence first, then ``STATES`` a letter and for unknown letters.
        variance: (K, D).
    """

    def __init__(self, letters: str, mean: np.ndarray, variance: np.ndarray):
        self.letters = letters
        self.mean, self.variance = mean, variance

    @classmethod
    def load(cls, path: str | Path) -> "LetterModels":
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: There is no such file.
        """
        if not Path(path).is_file():
            raise ValueError(
                f"models of letters {path} not found: run stage 4 with --refine_times "
                "true, which makes them"
            )
        with np.load(path, allow_pickle=False) as file:
            return cls(str(file["letters"]), file["mean"], file["variance"])

    def save(self, path: str | Path, made_from: str = "") -> None:
        """Write them, whole or not at all.

        Args:
            path: The file.
            made_from: What they follow from, see :meth:`were_made_from`.
        """
        values = {"mean": self.mean, "variance": self.variance}
        words = {"letters": self.letters, "made_from": made_from}
        with whole_file(path) as part, open(part, "wb") as file:
            np.savez(file, **values, **{n: np.array(w) for n, w in words.items()})

    @staticmethod
    def were_made_from(path: str | Path, made_from: str) -> bool:
        """Whether a file holds models that follow from just these things."""
        if not Path(path).is_file():
            return False
        with np.load(path, allow_pickle=False) as file:
            return "made_from" in file and str(file["made_from"]) == made_from

    @classmethod
    def fit(cls, data: Sequence[TimedFrames], rounds: int = 3) -> "LetterModels":
        """Learn from utterances with first word times.

        Args:
            data: Utterances.
            rounds: How often frames are given to states anew.

        Raises:
            ValueError: There are none.
        """
        if not data:
            raise ValueError(
                "no utterance has word times to begin with: align the sets first"
            )
        letters = "".join(sorted({x for item in data for w in item.words for x in w}))
        spelled = [Spelling.of(item.words, letters) for item in data]
        paths = [
            spelling.even_path(item.times, len(item.frames))
            for spelling, item in zip(spelled, data)
        ]
        models = cls._of_paths(letters, data, spelled, paths)
        for _ in range(rounds):
            found = [
                models.path(item.frames, spelling)
                for spelling, item in zip(spelled, data)
            ]
            paths = [new if new is not None else old for new, old in zip(found, paths)]
            models = cls._of_paths(letters, data, spelled, paths)
        return models

    @staticmethod
    def count(letters: str) -> int:
        """States K of the models of some letters, with silence and unknown ones."""
        return 1 + STATES * (len(letters) + 1)

    @classmethod
    def _of_paths(
        cls,
        letters: str,
        data: Iterable[TimedFrames],
        spelled: Iterable[Spelling],
        paths: Iterable[np.ndarray],
    ) -> "LetterModels":
        """Gaussians of the frames that the paths give to each state."""
        frames = np.concatenate([item.frames for item in data])
        pairs = zip(spelled, paths)
        labels = np.concatenate([spelling.models[path] for spelling, path in pairs])
        size = cls.count(letters)
        mean, variance = frames.mean(0), frames.var(0)
        means, variances = np.tile(mean, (size, 1)), np.tile(variance, (size, 1))
        for state in np.flatnonzero(np.bincount(labels) >= LEAST_FRAMES):
            own = frames[labels == state]
            means[state] = own.mean(0)
            variances[state] = np.maximum(own.var(0), FLOOR * variance)
        return cls(letters, means, variances)

    def path(self, frames: np.ndarray, spelling: Spelling) -> np.ndarray | None:
        """State of each frame, (F,); None if there are too few frames.

        Silences cost nothing to leave out.
        """
        precision = 1 / self.variance
        distance = frames**2 @ precision.T - 2 * frames @ (self.mean * precision).T
        constant = (self.mean**2 * precision + np.log(self.variance)).sum(1)
        scores = -0.5 * (distance + constant).astype(float)  # (F, K), up to a constant
        cost = np.full(len(spelling.word), IMPOSSIBLE)
        cost[2:] = np.where(spelling.word[1:-1] < 0, 0.0, -SKIP_COST)
        return best_path(scores, spelling.models, cost)

    def place(self, frames: np.ndarray, words: Sequence[str]) -> np.ndarray | None:
        """Times of the words of an utterance.

        Args:
            frames: (F, D), each in the middle of its 10 ms.
            words: W words.

        Returns:
            Begin and end in seconds, (W, 2); None if there are too few frames.
        """
        spelling = Spelling.of(words, self.letters)
        path = self.path(frames, spelling)
        if path is None:
            return None
        word = spelling.word[path]
        first = [np.flatnonzero(word == index)[0] for index in range(len(words))]
        last = [np.flatnonzero(word == index)[-1] for index in range(len(words))]
        edges = np.stack([np.array(first) - 0.5, np.array(last) + 0.5], axis=1)
        return edges.clip(0) / FRAME_RATE
