"""The pull of attention towards words against slow loops."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.align.guided_attention import guided_attention_loss, token_steps

WORD_IDS = torch.tensor([[0, 0, 1, 2, 2], [0, 1, 1, -1, -1]])


def times(seed):
    generator = torch.Generator().manual_seed(seed)
    edges = torch.rand(2, 4, generator=generator).cumsum(1) * 0.2
    word_times = torch.stack([edges[:, :-1], edges[:, 1:]], dim=-1)  # (2, 3, 2)
    word_times[1, 1] = 0.0  # unknown
    return word_times


@given(st.integers(0, 10_000), st.sampled_from([0.0, 1.0]))
@settings(max_examples=30, deadline=None)
def test_token_steps_equal_the_loop(seed, margin):
    word_times, rates = times(seed), torch.tensor([25.0, 50.0])
    got = token_steps(word_times, WORD_IDS, rates, 12, margin)
    for b, rate in enumerate(rates.tolist()):
        for n, word in enumerate(WORD_IDS[b].tolist()):
            begin, end = (word_times[b, max(word, 0)] * rate).tolist()
            want = [
                word >= 0
                and end > begin
                and t + 1 > begin - margin
                and t < end + margin
                for t in range(12)
            ]
            assert got[b, n].tolist() == want


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_loss_equals_the_loop(seed):
    generator = torch.Generator().manual_seed(seed)
    attention = torch.rand(2, 2, 3, 4, 6, generator=generator).softmax(-1)
    targets = torch.rand(2, 4, 6, generator=generator) < 0.3
    losses = []
    for b in range(2):
        for q in range(4):
            near = targets[b, q].nonzero().flatten()
            if len(near):
                shares = attention[b, :, :, q, near].sum(-1)
                losses.append(-shares.log().mean().item())
    want = sum(losses) / len(losses) if losses else 0.0
    got = guided_attention_loss(attention, targets)
    assert math.isclose(got.item(), want, rel_tol=1e-4, abs_tol=1e-7)


def test_attention_on_the_words_costs_nothing():
    word_times = torch.tensor([[[0.0, 0.4], [0.4, 0.8]]])
    targets = token_steps(word_times, torch.tensor([[0, 1]]), torch.tensor([10.0]), 8)
    attention = targets / targets.sum(-1, keepdim=True)
    assert guided_attention_loss(attention[:, None], targets).abs() < 1e-6
    assert guided_attention_loss(attention, targets).abs() < 1e-6


def test_words_of_unknown_time_are_left_out():
    targets = token_steps(
        torch.zeros(1, 2, 2), torch.tensor([[0, 1]]), torch.tensor([10.0]), 6
    )
    attention = torch.rand(1, 1, 1, 2, 6).softmax(-1).requires_grad_()
    loss = guided_attention_loss(attention, targets)
    loss.backward()
    assert loss == 0
    assert torch.equal(attention.grad, torch.zeros_like(attention))
