"""Audio beyond the encoder's window: cut, tokenize the pieces, join.

Enters: waveforms of any length and the times of their words. Leaves: pieces that fit
the window, cut in pauses between words, and the joined words: each word is in exactly
one piece, so none is lost and none occurs twice; or one speaker embedding.

Legend: S samples, W words, Q codebooks, E speaker features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from espnet2_taste.align.windows import cut_at_silences
from espnet2_taste.structures import WordCodes, WordTiming
from espnet2_taste.units.batches import SpeechBatch
from espnet2_taste.units.speaker import AbsSpeakerEmbedder

MARGIN_SECONDS = 0.5


@dataclass(frozen=True)
class WordPiece:
    """Part of an utterance.

    Attributes:
        first: Its first word.
        last: One past its last word.
        begin: Seconds.
        end: Seconds.
    """

    first: int
    last: int
    begin: float
    end: float


def cut_at_words(
    timings: Sequence[WordTiming], duration: float, window: float
) -> list[WordPiece]:
    """Cut an utterance between words.

    A piece takes as many words as fit; it then ends at the widest gap of its second
    half. Silence of more than half a second around the words of a piece is left out.

    Args:
        timings: Words in order, not overlapping, W of them.
        duration: Of the audio, seconds.
        window: Longest piece, seconds.

    Returns:
        Pieces that hold every word once and in order.

    Raises:
        ValueError: A single word is longer than the window.
    """
    limits = [(a.end + b.start) / 2 for a, b in zip(timings, timings[1:])]
    lefts = [
        max(limit, word.start - MARGIN_SECONDS)
        for limit, word in zip([0.0, *limits], timings)
    ]
    rights = [
        min(limit, word.end + MARGIN_SECONDS)
        for limit, word in zip([*limits, duration], timings)
    ]
    pieces, first = [], 0
    while first < len(timings):
        fitting = [
            last
            for last in range(first + 1, len(timings) + 1)
            if rights[last - 1] - lefts[first] <= window
        ]
        if not fitting:
            word = timings[first]
            raise ValueError(
                f"word {first} '{word.word}' lasts {word.duration:.1f} s, more than "
                f"the window of {window:g} s; check the transcript of the audio"
            )
        last = fitting[-1]
        if last < len(timings):
            last = _widest_gap(timings, first, last)
        pieces.append(WordPiece(first, last, lefts[first], rights[last - 1]))
        first = last
    return pieces


def _widest_gap(timings: Sequence[WordTiming], first: int, last: int) -> int:
    """The word after the widest gap in the second half of words ``first .. last``."""
    half = range(first + (last - first + 1) // 2, last + 1)
    gaps = [timings[k].start - timings[k - 1].end for k in half if k > first]
    return max(last - int(np.argmax(gaps[::-1])), first + 1)


def timed_anew(
    timings: Sequence[WordTiming],
    pieces: Sequence[WordPiece],
    times: Sequence[np.ndarray],
) -> tuple[WordTiming, ...]:
    """Times of words in an utterance by those in its pieces, where these are known.

    Args:
        timings: Of all words, as they were before; none stay none.
        pieces: Of the utterance.
        times: Begin and end of the words of each piece, in seconds from its begin,
            (W', 2), equal where they are unknown.

    Returns:
        One timing a word.
    """
    new = list(timings)
    for piece, spans in zip(pieces if new else (), times):
        for index, (begin, end) in enumerate(spans.tolist(), piece.first):
            if end > begin:
                start = piece.begin + begin
                new[index] = WordTiming(timings[index].word, start, end - begin)
    return tuple(new)


def join_pieces(parts: Sequence[WordCodes]) -> tuple[tuple[str, ...], np.ndarray]:
    """Put the tokenized pieces of an utterance together again.

    Args:
        parts: Words with codes (W', Q) of each piece, in order.

    Returns:
        All words and their codes (W, Q).
    """
    words = tuple(word for part in parts for word in part.words)
    return words, np.concatenate([part.codes for part in parts])


@torch.no_grad()
def embed_long(
    embedder: AbsSpeakerEmbedder, wave: np.ndarray, window: float
) -> torch.Tensor:
    """Speaker embedding of a recording; of a long one, the mean of its pieces'.

    Args:
        embedder: Its memory grows with what it is given at once.
        wave: (S,) at its rate.
        window: Longest piece, seconds.

    Returns:
        (E,), of length one.
    """
    cuts = cut_at_silences(wave, embedder.sample_rate, window)
    device = next((buffer.device for buffer in embedder.buffers()), "cpu")

    def embed(begin: int, end: int) -> torch.Tensor:
        batch = SpeechBatch.from_arrays({"voice": wave[begin:end]}).to(device)
        return embedder(batch.speech, batch.lengths)[0]

    if len(cuts) == 1:
        return embed(*cuts[0])
    # what is left at the end may be too short for a voice
    cuts = [(a, b) for a, b in cuts if b - a >= embedder.sample_rate]
    return functional.normalize(sum((b - a) * embed(a, b) for a, b in cuts), dim=0)
