"""One more position through a block with relative positions: generation's inner loop.

Enters: the newest vector of each utterance (B, D) and what its block has cached.
Leaves: (B, D), what ``RelTransformerBlock.extend`` gives for one position. Most of a
step is reading the weights; here nothing else is done that a single position does not
need, which takes a sixth off it.

Legend: B utterances, K positions so far, C capacity of a cache, H heads, D features, E
features of one head, O outputs.
"""

import torch
from torch import nn
from torch.nn import functional

MANY_ROWS = 8
"""Rows from which a CPU multiplies faster with the weights on the left."""


def affine(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """A linear layer on few rows, (B, D) -> (B, O)."""
    if len(x) < MANY_ROWS or x.is_cuda:
        return functional.linear(x, layer.weight, layer.bias)
    return torch.addmm(layer.bias[:, None], layer.weight, x.T).T


def hidden_bias(visible: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """What is added to the scores of one position's keys.

    Args:
        visible: (B, 1 or H, 1, K).
        like: Tensor whose dtype the result takes.

    Returns:
        0 where a key is visible, else minus infinity, (B, 1 or H, K).
    """
    bias = torch.zeros_like(visible, dtype=like.dtype)
    return bias.masked_fill_(~visible, float("-inf"))[:, :, 0]


def read_position(
    block: nn.Module, x: torch.Tensor, cache, length: int, bias: torch.Tensor
) -> torch.Tensor:
    """Read one position after ``length`` others.

    Args:
        block: A ``RelTransformerBlock`` in evaluation mode.
        x: (B, 1, D).
        cache: Its ``LayerCache`` with a free position, which is written.
        length: Cached positions.
        bias: Of ``hidden_bias``, K = length + 1.

    Returns:
        (B, 1, D).
    """
    x = x[:, 0]
    x = x + _attend(block.self_attn, block.norm(0, x), cache, length, bias)
    inner = block.feed_forward
    hidden = inner.activation(affine(inner.w_1, block.norm(1, x)))
    return (x + affine(inner.w_2, hidden))[:, None]


def _attend(
    attention: nn.Module, x: torch.Tensor, cache, length: int, bias: torch.Tensor
) -> torch.Tensor:
    """Attention of one position (B, D) over the cached ones and itself, (B, D)."""
    total, shape = length + 1, (len(x), attention.heads, -1)
    cache.keys[:, :, length] = affine(attention.linear_k, x).reshape(shape)
    cache.values[:, :, length] = affine(attention.linear_v, x).reshape(shape)
    query = affine(attention.linear_q, x).reshape(shape)  # (B, H, E)
    content = (query + attention.pos_bias_u)[:, :, None]  # (B, H, 1, E)
    placed = (query + attention.pos_bias_v).transpose(0, 1)  # (H, B, E)
    scores = (placed @ cache.distances[:, -total:].mT).transpose(0, 1)  # (B, H, K)
    scores = scores + (content @ cache.keys[:, :, :total].mT)[:, :, 0]
    scores = torch.add(bias, scores, alpha=query.size(-1) ** -0.5)
    weights = scores.softmax(dim=-1)[:, :, None]  # (B, H, 1, K)
    for watch in attention.watchers:
        watch(weights)
    context = weights @ cache.values[:, :, :total]  # (B, H, 1, E)
    return affine(attention.linear_out, context.reshape(x.shape))
