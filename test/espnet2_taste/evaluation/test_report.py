"""Targets of RESULTS.md: what is met, missed, or cannot be said."""

import math

import pytest

from espnet2_taste.evaluation.report import REPORTED, target_row


@pytest.mark.parametrize(
    ("value", "target", "count", "verdict"),
    [
        (0.8, ">= 0.8", 100, "met"),
        (0.79, ">= 0.8", None, "**missed**"),
        (0.1, "<= 0.1", 100, "met"),
        (math.nan, "<= 0.1", 100, "**missed**"),
        (0.1, "<= 0.1", 99, "too few to say (99)"),
        (None, "<= 0.1", 99, "not measured"),
        (0.5, REPORTED, 100, ""),
    ],
)
def test_a_target_is_met_or_missed_where_there_is_enough(value, target, count, verdict):
    row = target_row("WER", value, target, count, least=100)
    assert row[0] == "WER" and row[2:] == (target, verdict)
