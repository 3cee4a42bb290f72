"""Plain data that passes between the parts of TASTE.

Legend: B utterances, N text tokens, W words, F encoder frames, Q codebooks,
D features. Each class is frozen: a part receives one and returns another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # commands that only move files start without it
    import numpy as np
    import torch


@dataclass(frozen=True)
class EncoderStates:
    """What the frozen speech encoder hands to the aggregator (paper, section 3.1).

    Attributes:
        keys: Last layer, (B, F, D_key).
        values: A shallow layer or a mix of layers, (B, F, D_value).
        lengths: Valid frames of each utterance, (B,) int64.
        word_frames: Begin and end of each word in frames, (B, W, 2), equal for words
            of unknown time; None where words are not timed.
    """

    keys: torch.Tensor
    values: torch.Tensor
    lengths: torch.Tensor
    word_frames: torch.Tensor | None = None


@dataclass(frozen=True)
class QuantizerOutput:
    """Result of a quantizer.

    Attributes:
        quantized: Vectors after quantization, (B, N, D).
        codes: Code indices, (B, N, Q) int64, -1 at padding or skipped codebooks.
        loss: Commitment loss, scalar (zero where the quantizer has none).
    """

    quantized: torch.Tensor
    codes: torch.Tensor
    loss: torch.Tensor


@dataclass(frozen=True)
class WordTiming:
    """One word of an utterance with its place in time.

    Attributes:
        word: The word as written in the transcript.
        start: Start in seconds.
        duration: Length in seconds.
    """

    word: str
    start: float
    duration: float

    @property
    def end(self) -> float:
        """End in seconds."""
        return self.start + self.duration

    @classmethod
    def of_words(
        cls, words: Sequence[str], times: Sequence[Sequence[float]]
    ) -> list["WordTiming"]:
        """W words with the begin and the end of each."""
        return [
            cls(word, begin, end - begin) for word, (begin, end) in zip(words, times)
        ]


@dataclass(frozen=True)
class WordCodes:
    """Words of an utterance with their codes: what is stored, modelled and spoken.

    Attributes:
        words: W words.
        codes: (W, Q) int64.
    """

    words: tuple[str, ...]
    codes: np.ndarray

    def __add__(self, other: WordCodes) -> WordCodes:
        import numpy as np

        codes = np.concatenate([self.codes, other.codes])
        return WordCodes(self.words + other.words, codes)

    @property
    def text(self) -> str:
        """Words separated by spaces."""
        return " ".join(self.words)

    @property
    def fields(self) -> dict:
        """What a preprocessor reads of them."""
        return {"text": self.text, "codes": self.codes}

    def first(self, count: int) -> WordCodes:
        """The first words."""
        return WordCodes(self.words[:count], self.codes[:count])
