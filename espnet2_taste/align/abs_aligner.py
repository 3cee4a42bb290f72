"""Interface of everything that knows when words are spoken.

Enters: waveforms and their words. Leaves: one ``WordTiming`` a word, and what the
aligner itself heard. The same aligner must be used for the two sides of a
comparison: its habits then cancel.

Legend: B utterances, S samples, W words.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from espnet2_taste.structures import WordTiming


@dataclass(frozen=True)
class AlignedUtterance:
    """Result for one utterance.

    Attributes:
        words: Timing of each word of the transcript; empty if ``problem`` is set.
        heard: Words recognised without knowing the transcript.
        problem: Why no alignment exists, else an empty string.
        score: How well text and recording belong together, 0 to 1; nan without an
            alignment, or if the aligner gives none.
    """

    words: tuple[WordTiming, ...]
    heard: tuple[str, ...]
    problem: str = ""
    score: float = float("nan")


class AbsAligner(ABC):
    """Places given words in time."""

    @property
    @abstractmethod
    def sample_rate(self) -> int:
        """Samples a second the aligner expects."""

    @abstractmethod
    def align(
        self, speech: Sequence[np.ndarray], words: Sequence[Sequence[str]]
    ) -> list[AlignedUtterance]:
        """Align a batch.

        Args:
            speech: Mono waveforms at ``sample_rate``, B arrays of (S,).
            words: Transcripts, B lists of W words.

        Returns:
            One result an utterance; an utterance that cannot be aligned carries its
            ``problem`` instead of times.
        """
