"""Sampling rules: distribution, ends, seeds, lengths, mixtures."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.speech_decoder.unit_sampling import (
    ArgmaxSampler,
    LengthRule,
    TopKSampler,
    UtteranceNoise,
    draw,
    unit_mixture,
)


class FixedNoise:
    """Gives the same number again and again."""

    def __init__(self, value, batch):
        self.value = torch.full((batch,), value)

    def next(self):
        return self.value


def slow_draw(probabilities, classes, uniform):
    target, total, chosen = uniform * sum(probabilities), 0.0, None
    for probability, label in zip(probabilities, classes):
        total += probability
        if probability > 0:
            chosen = label
            if total > target:
                break
    return chosen


@given(
    weights=st.lists(st.integers(0, 4), min_size=1, max_size=6).filter(any),
    uniform=st.floats(0, 1, exclude_max=True, width=32),
)
@settings(max_examples=200, deadline=None)
def test_draw_equals_slow_loop(weights, uniform):
    classes = list(range(10, 10 + len(weights)))
    probabilities = torch.tensor([weights]).double()
    got = draw(probabilities, torch.tensor([classes]), torch.tensor([uniform]).double())
    assert got.item() == slow_draw(weights, classes, uniform)


@given(
    logits=st.lists(st.floats(-5, 5, width=32), min_size=3, max_size=9),
    top_k=st.integers(2, 12),
    uniform=st.floats(0, 1, exclude_max=True, width=32),
    allowed=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_top_k_takes_a_candidate_and_no_early_end(logits, top_k, uniform, allowed):
    log_probs = torch.tensor([logits]).log_softmax(-1)
    unit = TopKSampler(top_k)(
        log_probs, torch.tensor([allowed]), FixedNoise(uniform, 1)
    )
    least = log_probs.topk(min(top_k, len(logits))).values.min()
    assert log_probs[0, unit] >= least
    assert allowed or unit.item() != len(logits) - 1


def test_top_k_follows_the_probabilities():
    log_probs = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(20000, -1)
    noise = FixedNoise(0.0, 1)
    noise.value = torch.rand(20000, generator=torch.Generator().manual_seed(0))
    allowed = torch.ones(20000, dtype=torch.bool)
    drawn = TopKSampler(2)(log_probs, allowed, noise)
    shares = torch.bincount(drawn, minlength=4) / 20000
    torch.testing.assert_close(
        shares, torch.tensor([0.625, 0.375, 0.0, 0.0]), atol=0.02, rtol=0
    )


def test_low_temperature_comes_near_argmax():
    generator = torch.Generator().manual_seed(0)
    log_probs = torch.randn(50, 9, generator=generator).log_softmax(-1)
    allowed = torch.ones(50, dtype=torch.bool)
    cold = TopKSampler(5, temperature=1e-3)(log_probs, allowed, FixedNoise(0.7, 50))
    assert torch.equal(cold, log_probs.argmax(-1))


def test_argmax_takes_the_best_unit_while_the_end_is_too_early():
    log_probs = torch.tensor([[0.1, 0.3, 0.6], [0.1, 0.3, 0.6]]).log()
    chosen = ArgmaxSampler()(log_probs, torch.tensor([True, False]), None)
    assert chosen.tolist() == [2, 1]


def test_noise_depends_on_name_and_seed_only():
    def numbers(names, row, seed=3, draws=300):
        noise = UtteranceNoise.from_ids(names, seed)
        return [noise.next()[row].item() for _ in range(draws)]

    assert numbers(["a", "b"], 1) == numbers(["b"], 0)
    assert numbers(["b"], 0) != numbers(["b"], 0, seed=4)
    assert numbers(["a", "b"], 0) != numbers(["a", "b"], 1)


def test_noise_goes_on_for_the_rows_that_stay():
    noise, alone = (UtteranceNoise.from_ids(names, 0) for names in (["a", "b"], ["b"]))
    for step in range(600):
        assert noise.next()[-1] == alone.next()[0]
        if step == 100:
            noise.select(torch.tensor([1]))


def slow_mixture(logits, temperature):
    powers = [math.exp(logit / temperature) for logit in logits]
    return [power / sum(powers) for power in powers]


LOGITS = st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=6)


@given(LOGITS, st.floats(0.2, 4.0))
def test_a_mixture_is_that_of_a_slow_loop(logits, temperature):
    shares = unit_mixture(torch.tensor([logits] * 2), temperature)
    wanted = torch.tensor([slow_mixture(logits, temperature)] * 2)
    torch.testing.assert_close(shares, wanted, atol=1e-5, rtol=1e-4)


@given(LOGITS, st.floats(-9, 9), st.randoms())
def test_a_mixture_keeps_the_order_and_follows_permutations(logits, shift, random):
    order = random.sample(range(len(logits)), len(logits))
    logits = torch.tensor(logits)
    shares = unit_mixture(logits, 0.5)
    assert shares.sum() == pytest.approx(1.0, abs=1e-5)
    assert (shares[logits.argsort()].diff() >= -1e-6).all()
    moved = unit_mixture(logits[order] + shift, 0.5)
    torch.testing.assert_close(moved, shares[order], atol=1e-4, rtol=1e-3)


def test_limits_of_mixtures():
    logits = torch.tensor([[0.1, 2.0, 1.5], [3.0, 0.0, -1.0]])
    assert unit_mixture(logits, 0.0) is None
    best = torch.nn.functional.one_hot(logits.argmax(-1), 3).float()
    torch.testing.assert_close(unit_mixture(logits, 1e-3), best)
    even = torch.full((2, 3), 1 / 3)
    torch.testing.assert_close(unit_mixture(logits, 1e5), even, atol=1e-4, rtol=0)


def test_length_rule():
    fewest, most = LengthRule().bounds(torch.tensor([31, 20]))
    assert fewest.tolist() == [68, 46] and most.tolist() == [680, 460]


def test_errors():
    with pytest.raises(ValueError, match="top_k.*1"):
        TopKSampler(1)
    with pytest.raises(ValueError, match="temperature.*-1"):
        TopKSampler(temperature=-1)
    with pytest.raises(ValueError, match="5.*2"):
        LengthRule(5, 2)
