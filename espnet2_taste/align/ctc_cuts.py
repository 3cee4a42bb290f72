"""Where a long recording and its transcript can be cut before they are aligned.

Enters: log-probabilities of a CTC head and the token ids of the transcript. Leaves:
pieces of both, whose memory and time do not grow with the recording. A window of the
recording is aligned with as many of the next tokens as suit it best (Viterbi, with the
end left free). The cut comes to the middle of its longest blank stretch, far enough
from the window's end that what comes after it cannot change the path there.

Legend: F frames, V token list size, N tokens, S = 2 N + 1 states (blank, token 1,
blank, ..., token N, blank).
"""

from dataclasses import dataclass

import numpy as np

from espnet2_taste.align.viterbi import IMPOSSIBLE, best_path


@dataclass(frozen=True)
class CtcPiece:
    """Part of a recording and of its transcript.

    Attributes:
        frames: Begin and end.
        tokens: First, and one past the last.
    """

    frames: tuple[int, int]
    tokens: tuple[int, int]


def cut_pieces(
    log_probs: np.ndarray, target: np.ndarray, blank: int, window: int
) -> list[CtcPiece]:
    """Cut a recording with its transcript.

    Args:
        log_probs: Log-probabilities, (F, V).
        target: Token ids without blanks, (N,).
        blank: Id of the blank.
        window: Most frames of a piece.

    Returns:
        Pieces that follow each other; longer than the window only where the transcript
        has hardly less tokens than there are frames.
    """
    frame, token, pieces = 0, 0, []
    while len(log_probs) - frame > window:
        scores, rest = log_probs[frame : frame + window], target[token:]
        states = best_prefix(scores, rest[:window], blank)
        cut = _find_cut(states, len(log_probs) - frame, rest)
        if cut is None:
            cut = _even_cut(window, len(log_probs) - frame, rest)
        if cut is None:
            break
        ends = frame + cut[0], token + cut[1]
        pieces.append(CtcPiece((frame, ends[0]), (token, ends[1])))
        frame, token = ends
    pieces.append(CtcPiece((frame, len(log_probs)), (token, len(target))))
    return pieces


def best_prefix(log_probs: np.ndarray, target: np.ndarray, blank: int) -> np.ndarray:
    """States of the best path that reads as many of the tokens as suit it.

    Args:
        log_probs: (F, V), at least one frame.
        target: Token ids that may be read, in order, (N,).
        blank: Id of the blank.

    Returns:
        State at each frame, (F,).
    """
    ids = np.full(2 * len(target) + 1, blank)
    ids[1::2] = target
    skip_cost = np.full(len(ids), IMPOSSIBLE, dtype=log_probs.dtype)
    skip_cost[2:][(ids[2:] != blank) & (ids[2:] != ids[:-2])] = 0
    return best_path(log_probs, ids, skip_cost, free_end=True)


def tokens_before(states: np.ndarray, cut: int) -> int:
    """Tokens that a path has begun before a frame, which cuts none of them."""
    return (int(states[cut - 1]) + 1) // 2


def _find_cut(
    states: np.ndarray, num_frames: int, target: np.ndarray
) -> tuple[int, int] | None:
    """Frame to cut at, in the middle half of a window, and tokens before it.

    Args:
        states: Path through the window.
        num_frames: Of the rest of the recording, the window included.
        target: Rest of the transcript.

    Returns:
        The middle of the longest blank stretch, or the end of a token where there is
        none; None if the transcript would not fit any more.
    """
    needed = _needed_frames(target)
    best, place = -1, None
    starts = np.flatnonzero(np.diff(states, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(states)]):
        is_blank = states[start] % 2 == 0
        cut, size = ((start + end) // 2, end - start) if is_blank else (end, 0)
        if not len(states) // 4 <= cut <= 3 * len(states) // 4 or size < best:
            continue
        tokens = tokens_before(states, cut)
        if needed[tokens] <= num_frames - cut:
            best, place = size, (int(cut), tokens)
    return place


def _even_cut(
    window: int, num_frames: int, target: np.ndarray
) -> tuple[int, int] | None:
    """The same for a head that does not find the text: at an even pace."""
    cut, needed = window // 2, _needed_frames(target)
    tokens = len(target) * cut // num_frames
    fits = needed[0] - needed[tokens] <= cut and needed[tokens] <= num_frames - cut
    return (cut, tokens) if fits else None


def _needed_frames(target: np.ndarray) -> np.ndarray:
    """Frames that the tokens from each on need, (N + 1,)."""
    repeats = np.append(target[1:] == target[:-1], False)
    return np.append(np.cumsum((1 + repeats)[::-1])[::-1], 0)
