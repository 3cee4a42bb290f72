"""Audio beyond what a recognizer takes at once: cut where it is quiet.

Enters: waveforms of any length. Leaves: pieces that fit the window and follow each
other without gap, and frames of pieces brought to the time of their piece.

Legend: S samples, F frames, V token list size.
"""

import numpy as np
import torch

HOP_SECONDS = 0.01


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


def fit_frames(scores: torch.Tensor, count: int) -> torch.Tensor:
    """Cut frames (F, V) at the end or repeat the last one, to (count, V)."""
    missing = count - len(scores)
    if missing > 0 and len(scores):
        scores = torch.cat([scores, scores[-1:].expand(missing, -1)])
    return scores[:count]
