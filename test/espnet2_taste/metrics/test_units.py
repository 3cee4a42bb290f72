"""Unit accuracy against a loop."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.metrics.units import COUNTS, count_unit_hits, unit_accuracies


def slow_counts(logits, units, lengths):
    counts = Counter()
    for row, length in enumerate(lengths.tolist()):
        for position in range(length):
            unit = int(units[row, position])
            ranked = logits[row, position].argsort(descending=True)[:5].tolist()
            changed = position > 0 and unit != int(units[row, position - 1])
            one, five = ranked[0] == unit, unit in ranked
            found = (1, one, five, changed, changed and one, changed and five)
            counts += Counter(dict(zip(COUNTS, map(int, found))))
    return counts


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_counts_equal_the_loop(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 8, 9, generator=generator)
    units = torch.randint(0, 8, (3, 7), generator=generator)
    lengths = torch.tensor([7, 3, 5])
    assert count_unit_hits(logits, units, lengths) == slow_counts(
        logits, units, lengths
    )


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match="expected logits for 1 x 4"):
        count_unit_hits(
            torch.zeros(1, 3, 5), torch.zeros(1, 4).long(), torch.tensor([4])
        )


def test_accuracies_are_ratios():
    accuracies = unit_accuracies(Counter(dict(zip(COUNTS, (10, 5, 8, 4, 1, 2)))))
    assert accuracies == {
        "acc": 0.5,
        "acc_top5": 0.8,
        "acc_change": 0.25,
        "acc_change_top5": 0.5,
    }
