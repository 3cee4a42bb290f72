"""Relative attention against a slow loop; padding and caching change nothing."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.speech_decoder.rel_transformer import (
    RelPositionAttention,
    RelTransformer,
    align_distances,
    distance_encoding,
    visible_keys,
)


def make_stack(causal=True, **options):
    torch.manual_seed(0)
    stack = RelTransformer(5, 8, 2, 2, 16, causal=causal, **options).eval()
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return stack


def slow_attention(attention, x, mask, causal):
    """One query, one head, one key at a time."""
    size = attention.linear_q.in_features
    per_head = size // attention.heads
    out = torch.zeros_like(x)
    for b in range(x.size(0)):
        q, k, v = (
            f(x[b])
            for f in (attention.linear_q, attention.linear_k, attention.linear_v)
        )
        for i in range(x.size(1)):
            for h in range(attention.heads):
                part = slice(h * per_head, (h + 1) * per_head)
                keys = [
                    j
                    for j in range(x.size(1))
                    if j == i or (mask[b, j] and (not causal or j <= i))
                ]
                scores = []
                for j in keys:
                    p = attention.linear_pos(distance_encoding(i - j, i - j, size, x))
                    content = (q[i, part] + attention.pos_bias_u[h]) @ k[j, part]
                    place = (q[i, part] + attention.pos_bias_v[h]) @ p[0, part]
                    scores.append((content + place) / math.sqrt(per_head))
                weights = torch.stack(scores).softmax(0)
                out[b, i, part] = sum(w * v[j, part] for w, j in zip(weights, keys))
    return attention.linear_out(out)


@pytest.mark.parametrize("causal", [True, False])
def test_attention_equals_slow_loop(causal):
    torch.manual_seed(1)
    attention = RelPositionAttention(8, 2)
    x = torch.randn(2, 5, 8)
    mask = torch.tensor([[1, 1, 1, 1, 1], [0, 1, 1, 1, 0]]).bool()
    encoding = distance_encoding(4, 0 if causal else -4, 8, x)
    got = attention(
        x,
        *attention.project_keys(x),
        attention.project_distances(encoding),
        visible_keys(mask, 5, causal),
    )
    torch.testing.assert_close(got, slow_attention(attention, x, mask, causal))


@given(keys=st.integers(1, 7), queries=st.integers(1, 7), causal=st.booleans())
@settings(max_examples=60, deadline=None)
def test_align_distances_property(keys, queries, causal):
    queries = min(queries, keys)
    last = 0 if causal else 1 - queries
    distances = torch.arange(keys - 1, last - 1, -1).float()
    scores = distances.expand(1, 1, queries, -1)
    aligned = align_distances(scores, keys)[0, 0]
    for t in range(queries):
        for j in range(keys):
            distance = keys - queries + t - j
            if distance >= last and (distance >= 0 or not causal):
                assert aligned[t, j] == distance


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("left", [0, 3])
def test_padding_changes_nothing(causal, left):
    stack = make_stack(causal)
    x = torch.randn(1, 6, 5)
    alone = stack(x)
    padded = torch.full((2, 13, 5), 7.0)
    mask = torch.zeros(2, 13, dtype=torch.bool)
    padded[0, left : left + 6], mask[0, left : left + 6] = x[0], True
    mask[1] = True
    torch.testing.assert_close(
        stack(padded, mask)[0, left : left + 6], alone[0], atol=1e-5, rtol=1e-5
    )
    assert torch.isfinite(stack(padded, mask)).all()


def test_causal_ignores_the_future():
    stack = make_stack()
    x = torch.randn(1, 6, 5)
    changed = x.clone()
    changed[:, 4:] += 1.0
    torch.testing.assert_close(stack(x)[:, :4], stack(changed)[:, :4])
    assert not torch.allclose(
        make_stack(False)(x)[:, :4], make_stack(False)(changed)[:, :4]
    )


@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_cached_equals_uncached(sizes):
    stack = make_stack()
    x = torch.randn(2, sum(sizes), 5, generator=torch.Generator().manual_seed(3))
    mask = torch.ones(2, sum(sizes), dtype=torch.bool)
    mask[1, : sizes[0] - 1] = False
    cache = stack.start_cache(2, capacity=2)
    pieces = [
        stack.extend(piece, cache, part)
        for piece, part in zip(x.split(sizes, 1), mask.split(sizes, 1))
    ]
    torch.testing.assert_close(
        torch.cat(pieces, 1)[mask], stack(x, mask)[mask], atol=1e-5, rtol=1e-5
    )


def test_select_keeps_the_chosen_rows():
    stack = make_stack()
    x = torch.randn(3, 5, 5)
    cache = stack.start_cache(3)
    stack.extend(x[:, :4], cache)
    cache.select(torch.tensor([2, 0]))
    last = stack.extend(x[[2, 0], 4:], cache)
    torch.testing.assert_close(last, stack(x)[[2, 0], 4:], atol=1e-5, rtol=1e-5)


def test_names_are_the_published_ones():
    names = set(make_stack(norm_names=("norm1", "norm2")).state_dict())
    block = "encoders.1."
    assert {"embed.out.0.weight", "embed.out.1.bias", "after_norm.weight"} <= names
    assert {block + "norm1.weight", block + "norm2.bias"} <= names
    assert {
        block + "self_attn.linear_pos.weight",
        block + "self_attn.pos_bias_u",
    } <= names
    assert block + "self_attn.linear_pos.bias" not in names
    assert "encoders.0.norm_mha.weight" in make_stack().state_dict()


def test_dropout_acts_in_training_only():
    stack = make_stack(dropout_rate=0.5, attention_dropout_rate=0.5)
    x = torch.randn(1, 6, 5)
    torch.testing.assert_close(stack(x), stack(x))
    stack.train()
    assert not torch.allclose(stack(x), stack(x))


def test_errors_name_the_numbers():
    with pytest.raises(ValueError, match=r"\(8\).*\(3\)"):
        RelPositionAttention(8, 3)
    with pytest.raises(ValueError, match="causal"):
        make_stack(causal=False).start_cache(1)
