"""Relative attention against a slow loop."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.speech_decoder.rel_attention import (
    RelPositionAttention,
    align_distances,
    distance_encoding,
    hide_from_head,
    visible_keys,
)


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


def test_heads_must_divide_the_size():
    with pytest.raises(ValueError, match=r"\(8\).*\(3\)"):
        RelPositionAttention(8, 3)


def test_weights_of_a_head_give_its_part_of_the_output():
    torch.manual_seed(2)
    attention = RelPositionAttention(8, 2)
    with torch.no_grad():
        attention.linear_out.weight.copy_(torch.eye(8))
        attention.linear_out.bias.zero_()
    x = torch.randn(2, 5, 8)
    mask = torch.tensor([[True] * 5, [False] * 2 + [True] * 3])
    keys, values = attention.project_keys(x)
    distances = attention.project_distances(distance_encoding(4, 0, 8, x))
    inputs = (distances, visible_keys(mask, 5, causal=True))
    maps = []
    attention.watchers.append(maps.append)
    out = attention(x, keys, values, *inputs)
    (weights,) = maps  # (B, H, T, K)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 2, 5))
    for head in range(2):
        part = weights[:, head] @ values[:, head]
        assert torch.allclose(part, out[..., 4 * head : 4 * head + 4], atol=1e-6)


def test_keys_hidden_from_one_head_stay_visible_to_the_other():
    torch.manual_seed(3)
    attention = RelPositionAttention(8, 2)
    x = torch.randn(2, 4, 8)
    keys, values = attention.project_keys(x)
    distances = attention.project_distances(distance_encoding(3, 0, 8, x))
    maps = []
    attention.watchers.append(maps.append)
    visible = visible_keys(torch.ones(2, 4, dtype=torch.bool), 4, causal=True)
    hidden = torch.tensor([[True, False], [False, True]])
    limited = hide_from_head(visible, hidden, 1, attention.heads)
    for seen in (limited, visible):
        attention(x, keys, values, distances, seen)
    weights, free = (part[:, :, 2:, :2] for part in maps)  # (B, H, 2, 2)
    assert torch.equal(weights[:, 1] == 0, hidden.unsqueeze(1).expand(-1, 2, -1))
    assert torch.equal(weights[:, 0], free[:, 0])
