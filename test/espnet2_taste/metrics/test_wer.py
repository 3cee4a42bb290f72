"""Word errors against the plain recursion."""

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.metrics.wer import count_errors, total_errors

WORDS = st.lists(st.sampled_from("abc"), max_size=6)


def slow_distance(reference, hypothesis):
    @functools.cache
    def distance(i, j):
        if i == 0 or j == 0:
            return i + j
        return min(
            distance(i - 1, j) + 1,
            distance(i, j - 1) + 1,
            distance(i - 1, j - 1) + (reference[i - 1] != hypothesis[j - 1]),
        )

    return distance(len(reference), len(hypothesis))


@given(WORDS, WORDS)
def test_errors_are_the_edit_distance(reference, hypothesis):
    errors = count_errors(reference, hypothesis)
    assert errors.errors == slow_distance(tuple(reference), tuple(hypothesis))
    assert errors.words == len(reference)
    assert len(reference) - errors.deletions + errors.insertions == len(hypothesis)


def test_agrees_with_jiwer_on_a_corpus():
    jiwer = pytest.importorskip("jiwer")
    references = ["the red dog sees a cat", "birds sing", "who knows"]
    hypotheses = ["the dog sees a fat cat", "birds sing loud", ""]
    ours = total_errors((r.split(), h.split()) for r, h in zip(references, hypotheses))
    assert ours.rate == pytest.approx(jiwer.wer(references, hypotheses))


def test_rate_is_of_the_corpus_not_the_mean_of_rates():
    errors = total_errors([(["a"], []), (["a"] * 9, ["a"] * 9)])
    assert errors.rate == pytest.approx(0.1)
