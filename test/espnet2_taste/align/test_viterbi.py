"""The best path: against all paths there are."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.align.viterbi import IMPOSSIBLE, best_path

SKIP_COST = 4.0


def cost_of(path, scores, silent):
    """Log-likelihood of a path of states, None where it is not allowed."""
    if path[0] > 1 or path[-1] < scores.shape[1] - 2:
        return None
    total = scores[0, path[0]]
    for frame, (before, state) in enumerate(zip(path, path[1:]), start=1):
        if not before <= state <= before + 2:
            return None
        if state == before + 2 and not silent[before + 1]:
            total -= SKIP_COST
        total += scores[frame, state]
    return total


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), st.integers(3, 5), st.integers(0, 2**31 - 1))
def test_the_best_path_is_the_best_of_all(frames, states, seed):
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 4, (frames, states))
    silent = np.arange(states) % 2 == 0
    every = itertools.product(range(states), repeat=frames)
    costs = [cost_of(path, scores, silent) for path in every]
    allowed = [cost for cost in costs if cost is not None]
    cost = np.full(states, IMPOSSIBLE)
    cost[2:] = np.where(silent[1:-1], 0.0, -SKIP_COST)
    found = best_path(scores, np.arange(states), cost)
    if not allowed:
        assert found is None
    else:
        assert cost_of(found.tolist(), scores, silent) == pytest.approx(max(allowed))
