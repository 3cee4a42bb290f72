"""Interface of everything that knows when words are spoken.

Enters: waveforms and their words. Leaves: one ``WordTiming`` a word, and what the
aligner itself recognized. The same aligner must be used for the two sides of a
comparison: its habits then cancel.

Legend: B utterances, S samples, W words.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from espnet2_taste.structures import WordTiming


@dataclass(frozen=True)
class AlignedUtterance:
    """Result for one utterance.

    Attributes:
        words: Timing of each word of the transcript; empty if ``problem`` is set.
        recognized: Words found without knowing the transcript.
        problem: Why no alignment exists, else an empty string.
        score: How well text and recording belong together, 0 to 1; nan without an
            alignment.
        word_scores: The same of each word, by its least likely token, (W,).
        doubtful: Words that were probably not said, by their place.
    """

    words: tuple[WordTiming, ...]
    recognized: tuple[str, ...] = ()
    problem: str = ""
    score: float = float("nan")
    word_scores: tuple[float, ...] = ()
    doubtful: tuple[int, ...] = ()

    @classmethod
    def scored(
        cls,
        words: Sequence[WordTiming],
        token_scores: np.ndarray,
        word_ids: np.ndarray,
        least: float,
    ) -> "AlignedUtterance":
        """Build from the scores of tokens.

        Args:
            words: Timings, W of them.
            token_scores: 0 to 1, (N,).
            word_ids: Word of each token, ascending, (N,).
            least: Score below which a word was probably not said.

        Returns:
            The result of an utterance that could be aligned.
        """
        first = np.searchsorted(word_ids, np.arange(len(words)))
        lowest = np.minimum.reduceat(token_scores, first)
        return cls(
            tuple(words),
            score=float(token_scores.mean()),
            word_scores=tuple(lowest.tolist()),
            doubtful=tuple(np.flatnonzero(lowest < least).tolist()),
        )


class AbsAligner(ABC):
    """Places given words in time, and writes down words that are not given.

    Attributes:
        doubtful_recognized: Score below which words that the aligner recognized itself
            are doubtful: it may have read noise as words.
    """

    doubtful_recognized: float = 0.5

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """Samples a second the aligner expects."""

    @abstractmethod
    def transcribe(self, speech: Sequence[np.ndarray]) -> list[tuple[str, ...]]:
        """Recognize recordings of any length.

        Args:
            speech: Mono waveforms at ``sample_rate``, B arrays of (S,).

        Returns:
            Words of each, none where nothing is recognized.
        """

    @abstractmethod
    def time_words(
        self, speech: Sequence[np.ndarray], words: Sequence[Sequence[str]]
    ) -> list[AlignedUtterance]:
        """Place words in recordings of any length.

        Args:
            speech: Mono waveforms at ``sample_rate``, B arrays of (S,).
            words: Transcripts, B lists of W words.

        Returns:
            One result an utterance, without a transcript; an utterance that cannot be
            aligned carries its ``problem`` instead of times.
        """

    def align(
        self, speech: Sequence[np.ndarray], words: Sequence[Sequence[str]]
    ) -> list[AlignedUtterance]:
        """Place words and recognize; see :meth:`time_words` and :meth:`transcribe`."""
        timed = self.time_words(speech, words)
        recognized = self.transcribe(speech)
        return [replace(item, recognized=text) for item, text in zip(timed, recognized)]
