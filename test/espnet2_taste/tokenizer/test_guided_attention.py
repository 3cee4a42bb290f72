"""The pull of attention towards words against a slow loop."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.tokenizer.guided_attention import guided_attention_loss, word_frames


def slow_loss(attention, word_ids, word_times, frame_rate, margin):
    losses = []
    utterances, blocks, heads, tokens, frames = attention.shape
    for b in range(utterances):
        for n in range(tokens):
            word = int(word_ids[b, n])
            begin, end = word_times[b, max(word, 0)].tolist()
            if word < 0 or end <= begin:
                continue
            near = [
                f
                for f in range(frames)
                if (f + 1) / frame_rate > begin - margin
                and f / frame_rate < end + margin
            ]
            if not near:
                continue
            total = 0.0
            for block in range(blocks):
                for head in range(heads):
                    share = float(attention[b, block, head, n, near].sum())
                    total -= math.log(max(share, 1e-6))
            losses.append(total / (blocks * heads))
    return sum(losses) / len(losses) if losses else 0.0


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_equals_the_loop(seed):
    generator = torch.Generator().manual_seed(seed)
    attention = torch.rand(2, 2, 2, 5, 12, generator=generator).softmax(-1)
    word_ids = torch.tensor([[0, 0, 1, 2, 2], [0, 1, 1, -1, -1]])
    edges = torch.rand(2, 4, generator=generator).cumsum(1) * 0.2
    word_times = torch.stack([edges[:, :-1], edges[:, 1:]], dim=-1)  # (2, 3, 2)
    word_times[1, 1] = 0.0
    got = guided_attention_loss(attention, word_ids, word_times, 25.0, 0.03)
    want = slow_loss(attention, word_ids, word_times, 25.0, 0.03)
    assert math.isclose(got.item(), want, rel_tol=1e-4)


def test_attention_on_the_words_costs_nothing():
    word_ids = torch.tensor([[0, 1]])
    word_times = torch.tensor([[[0.0, 0.4], [0.4, 0.8]]])
    frames = word_frames(word_times, 10.0, 8, margin=0.0)
    attention = (frames / frames.sum(-1, keepdim=True))[:, None, None]
    loss = guided_attention_loss(attention, word_ids, word_times, 10.0, margin=0.0)
    assert loss.abs() < 1e-6


def test_words_of_unknown_time_are_left_out():
    attention = torch.rand(1, 1, 1, 2, 6).softmax(-1).requires_grad_()
    loss = guided_attention_loss(
        attention, torch.tensor([[0, 1]]), torch.zeros(1, 2, 2), 10.0
    )
    assert loss == 0
    loss.backward()
    assert torch.equal(attention.grad, torch.zeros_like(attention))
