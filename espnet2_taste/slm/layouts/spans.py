"""Which words of an utterance are text and which are speech (interleaved designs).

Enters: the number of words and a random generator. Leaves: one modality a word. Pure.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SpanOptions:
    """How spans are drawn; a new draw every time an utterance is read.

    Attributes:
        text_only: Share of utterances that are text from end to end.
        speech_only: Share of utterances that are speech from end to end.
        speech_share: Share of words that are speech in the others, at least.
        span_words: Mean number of words of a speech span (Poisson, at least 1).
    """

    text_only: float = 0.33
    speech_only: float = 0.33
    speech_share: float = 0.3
    span_words: float = 10.0

    def __post_init__(self):
        shares = (self.text_only, self.speech_only, self.speech_share)
        if min(shares) < 0 or self.text_only + self.speech_only > 1:
            raise ValueError(
                "layout_conf: text_only and speech_only are shares of utterances with "
                f"a sum of at most 1, found {self.text_only} and {self.speech_only}; "
                f"speech_share is one too, found {self.speech_share}"
            )
        if self.speech_share > 1 or self.span_words <= 0:
            raise ValueError(
                "layout_conf: expected speech_share <= 1 and span_words > 0, found "
                f"{self.speech_share} and {self.span_words}"
            )


def draw_spans(
    num_words: int, options: SpanOptions, rng: np.random.Generator
) -> np.ndarray:
    """Choose the words that are speech.

    Args:
        num_words: W.
        options: How to draw.
        rng: Random numbers.

    Returns:
        True where a word is speech, (W,) bool.
    """
    kind = rng.random()
    if kind < options.text_only:
        return np.zeros(num_words, dtype=bool)
    if kind < options.text_only + options.speech_only:
        return np.ones(num_words, dtype=bool)
    speech = np.zeros(num_words, dtype=bool)
    while speech.sum() < options.speech_share * num_words:
        length = max(int(rng.poisson(options.span_words)), 1)
        start = int(rng.choice(np.flatnonzero(~speech)))
        speech[start : start + length] = True
    return speech
