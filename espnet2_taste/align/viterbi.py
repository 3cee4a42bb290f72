"""The likeliest way through states that follow each other.

Enters: log-weights of kinds of states at each frame (F, K), and the kind of each state.
Leaves: the state of each frame (F,). Legend: F frames, K kinds, J states.
"""

import numpy as np

IMPOSSIBLE = -1.0e30
SKIP = 2


def best_path(
    scores: np.ndarray, kinds: np.ndarray, skip_cost: np.ndarray, free_end: bool = False
) -> np.ndarray | None:
    """Likeliest states of the frames: none goes back, single ones may be left out.

    Args:
        scores: Log-weight of each kind at each frame, at least one, (F, K).
        kinds: Kind of each state, (J,).
        skip_cost: What is added where a state is entered from two before it,
            ``IMPOSSIBLE`` where it never is, (J,).
        free_end: The path may end in any state, not just in one of the last two.

    Returns:
        State of each frame, (F,), from one of the first two; None if there are too few
        frames.
    """
    padded = np.full(len(kinds) + 2, IMPOSSIBLE, dtype=scores.dtype)
    stay, step, skip = padded[2:], padded[1:-1], padded[:-2]
    stay[:2] = scores[0, kinds[:2]]
    moves = np.zeros((len(scores), len(kinds)), dtype=np.uint8)
    for frame in range(1, len(scores)):
        skipped = skip + skip_cost
        best = np.maximum(stay, step)
        moves[frame] = np.where(skipped > best, SKIP, step > stay)
        stay[:] = np.maximum(best, skipped) + scores[frame, kinds]
    last = stay[-2:]
    state = int(stay.argmax()) if free_end else len(stay) - 1 - (last[0] > last[-1])
    if stay[state] <= IMPOSSIBLE / 2:
        return None
    path = np.empty(len(scores), dtype=np.int64)
    for frame in range(len(scores) - 1, -1, -1):
        path[frame] = state
        state -= int(moves[frame, state])
    return path
