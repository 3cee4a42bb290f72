"""Positions that are given with their neighbours, once each and in order."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.context_window import ContextWindow

SIZES = st.lists(st.integers(0, 7), min_size=1, max_size=12)


@settings(deadline=None)
@given(SIZES, *[st.integers(0, most) for most in (4, 4, 9, 9)])
def test_each_position_comes_once_with_its_neighbours(
    sizes, before, after, patience, first
):
    window = ContextWindow(before, after, patience, first)
    total, found, most, arrived = sum(sizes), [], 0, 0
    for part in [*torch.arange(total).split(sizes), None]:
        rows, last = (() if part is None else (part, -part)), part is None
        kept, place = window.extend(*rows, last=last)
        arrived += 0 if last else len(part)
        assert torch.equal(kept[1], -kept[0])
        values = kept[0].tolist()
        for position in values[place]:
            first, stop = max(0, position - before), min(total, position + after + 1)
            assert set(range(first, stop)) <= set(values)
        assert last or found or len(values[place]) >= first or not values[place]
        found += values[place]
        waiting = arrived - after - len(found)
        assert last or waiting <= max(min(patience, len(found) // 2), first - 1)
        most = max(most, len(window.rows[0]))
    assert found == list(range(total))
    assert most <= before + after + max(patience, first) + 7


def test_what_waits_for_the_end_is_given_at_the_end():
    window = ContextWindow(0, 10**9)
    assert window.extend(torch.arange(5))[1] == slice(0, 0)
    assert window.extend(last=True)[1] == slice(0, 5)
    assert ContextWindow(1, 1).extend(last=True) == ((), slice(0, 0))
