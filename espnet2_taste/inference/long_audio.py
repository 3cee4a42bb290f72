"""Audio beyond the encoder's window: cut, tokenize the pieces, join.

Enters: waveforms of any length and the times of their words. Leaves: pieces that fit
the window, cut in pauses between words, and the joined words: each word is in exactly
one piece, so none is lost and none occurs twice.

Word times of long audio come from ``LongCtcAligner``: it cuts where it is quiet, runs
the encoder on each piece, and aligns all words to the joined frames at once.

Legend: S samples, F frames, V token list size, W words.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from espnet2_taste.align.ctc_aligner import CtcAligner
from espnet2_taste.structures import WordCodes, WordTiming

HOP_SECONDS = 0.01
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


def cut_at_silences(
    speech: np.ndarray, sample_rate: int, window: float
) -> list[tuple[int, int]]:
    """Cut audio where it is quiet, without looking at words.

    Each cut lies in the second half of what the window allows, in the middle of the
    quietest stretch of 0.2 s.

    Args:
        speech: (S,).
        sample_rate: Samples a second.
        window: Longest piece, seconds.

    Returns:
        Begin and end of each piece in samples: they follow each other without gap.
    """
    hop = max(1, int(HOP_SECONDS * sample_rate))
    longest, stretch = int(window * sample_rate), 20
    energy = np.add.reduceat(
        np.asarray(speech, dtype=np.float64) ** 2, np.arange(0, len(speech), hop)
    )
    cuts = [0]
    while len(speech) - cuts[-1] > longest:
        low = (cuts[-1] + longest // 2) // hop + 1
        high = max(low + 1, (cuts[-1] + longest) // hop)
        part = energy[low:high]
        width = min(stretch, len(part))
        smooth = np.convolve(part, np.ones(width) / width, mode="valid")
        place = (low + int(np.argmin(smooth)) + width // 2) * hop
        cuts.append(min(place, cuts[-1] + longest))
    return list(zip(cuts, [*cuts[1:], len(speech)]))


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
            half = range(first + (last - first + 1) // 2, last + 1)
            gaps = [timings[k].start - timings[k - 1].end for k in half if k > first]
            last = max(last - int(np.argmax(gaps[::-1])), first + 1)
        pieces.append(WordPiece(first, last, lefts[first], rights[last - 1]))
        first = last
    return pieces


def join_pieces(parts: Sequence[WordCodes]) -> tuple[tuple[str, ...], np.ndarray]:
    """Put the tokenized pieces of an utterance together again.

    Args:
        parts: Words with codes (W', Q) of each piece, in order.

    Returns:
        All words and their codes (W, Q).
    """
    words = tuple(word for part in parts for word in part.words)
    return words, np.concatenate([part.codes for part in parts])


class LongCtcAligner(CtcAligner):
    """Aligns audio of any length; what fits the window is aligned as usual."""

    window = 30.0
    batch_size = 8

    def log_probs(self, speech: Sequence[np.ndarray]) -> list[torch.Tensor]:
        """See ``CtcAligner.log_probs``; frames of the pieces follow each other."""
        cuts = [cut_at_silences(w, self.sample_rate, self.window) for w in speech]
        pieces = [w[a:b] for w, rows in zip(speech, cuts) for a, b in rows]
        scores = []
        for start in range(0, len(pieces), self.batch_size):
            scores += super().log_probs(pieces[start : start + self.batch_size])
        rate = self.scorer.frame_rate / self.sample_rate
        rows, result = iter(scores), []
        for spans in cuts:
            found = [next(rows) for _ in spans]
            if len(found) > 1:  # a piece must fill its time, or later words move
                frames = np.diff([round(rate * end) for _, end in spans], prepend=0)
                found = [fit_frames(f, int(n)) for f, n in zip(found, frames)]
            result.append(torch.cat(found))
        return result


def fit_frames(scores: torch.Tensor, count: int) -> torch.Tensor:
    """Cut frames (F, V) at the end or repeat the last one, to (count, V)."""
    missing = count - len(scores)
    if missing > 0 and len(scores):
        scores = torch.cat([scores, scores[-1:].expand(missing, -1)])
    return scores[:count]
