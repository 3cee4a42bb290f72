"""Which utterances of a batch are compared with the base LM."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.slm.group_losses import comparison_weights


@given(count=st.integers(1, 9), every=st.integers(1, 6), seed=st.integers(0, 99))
def test_weights_are_the_inverse_of_how_often_an_utterance_is_drawn(count, every, seed):
    torch.manual_seed(seed)
    weights = comparison_weights(count, every, "cpu")
    one_of = min(every, count)
    assert set(weights.tolist()) <= {0.0, float(one_of)}
    drawn = int((weights > 0).sum())
    assert count // one_of <= drawn <= -(-count // one_of) and drawn >= 1
    torch.manual_seed(seed)
    assert torch.equal(comparison_weights(count, every, "cpu"), weights)


def test_every_utterance_weighs_one_on_average():
    torch.manual_seed(0)
    mean = sum(comparison_weights(10, 4, "cpu") for _ in range(4000)) / 4000
    torch.testing.assert_close(mean, torch.ones(10), atol=0.15, rtol=0.0)


def test_all_are_compared_without_a_random_number():
    before = torch.get_rng_state()
    assert comparison_weights(3, 1, "cpu").tolist() == [1.0, 1.0, 1.0]
    assert torch.equal(torch.get_rng_state(), before)
