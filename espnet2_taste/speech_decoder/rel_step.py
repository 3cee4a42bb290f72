"""One more position through a block with relative positions: generation's inner loop.

Enters: the newest vector of each utterance (B, D) and what its block has cached.
Leaves: (B, D), what ``RelTransformerBlock.extend`` gives for one position. Most of a
step is reading the weights; here nothing else is done that a single position does not
need, which takes a sixth off it. What is cached stands here as well.

Legend: B utterances, K positions so far, C capacity of a cache, H heads, D features, E
features of one head, O outputs.
"""

from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional

MANY_ROWS = 8
"""Rows from which a CPU multiplies faster with the weights on the left."""


@dataclass
class LayerCache:
    """Keys and values that one layer has computed so far.

    Attributes:
        keys: (B, H, C, E), C is the capacity.
        values: (B, H, C, E).
        distances: Projected encodings of the distances C - 1 .. 0, (H, C, E).
    """

    keys: torch.Tensor
    values: torch.Tensor
    distances: torch.Tensor


@dataclass
class StackCache:
    """State of a causal stack between two calls of ``RelTransformer.extend``.

    Attributes:
        valid: True at real positions, (B, C).
        length: Positions in use, padding included.
        padded: Whether any position was padding.
        layers: One entry a layer.
    """

    valid: torch.Tensor
    length: int = 0
    padded: bool = False
    layers: list[LayerCache] = field(default_factory=list)

    @property
    def capacity(self) -> int:
        """Positions that fit before the buffers grow."""
        return self.valid.size(1)

    def select(self, rows: torch.Tensor) -> None:
        """Keep only these utterances, given as indices (B',)."""
        self.valid = self.valid[rows]
        for layer in self.layers:
            layer.keys = layer.keys[rows]
            layer.values = layer.values[rows]


def affine(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A linear layer on few rows, (B, D) -> (B, O)."""
    if not isinstance(layer, nn.Linear):  # a quantized one
        return layer(x)
    if x.size(0) < MANY_ROWS or x.is_cuda:
        return functional.linear(x, layer.weight, layer.bias)
    return torch.addmm(layer.bias[:, None], layer.weight, x.T).T


def hidden_bias(
    valid: torch.Tensor,
    hidden: tuple[int, torch.Tensor] | None,
    like: torch.Tensor,
    heads: int,
) -> torch.Tensor:
    """What is added to the scores of one position's keys.

    Args:
        valid: True at real positions, the last of which reads the others, (B, K).
        hidden: A head, and what it may not see of the first P positions, (B, P).
        like: Tensor whose dtype the result takes.
        heads: H.

    Returns:
        0 where a key is visible, else minus infinity, (B, 1 or H, K).
    """
    bias = torch.zeros_like(valid, dtype=like.dtype)
    bias = bias.masked_fill_(~valid, float("-inf"))[:, None]
    bias[..., -1] = 0.0  # padding sees itself, so that no row of the softmax is empty
    if hidden is not None:
        head, unseen = hidden
        bias = bias.repeat(1, heads, 1)
        bias[:, head, : unseen.size(1)].masked_fill_(unseen, float("-inf"))
    return bias


def read_position(
    block: nn.Module,
    x: torch.Tensor,
    cache,
    length: int,
    bias: torch.Tensor | None,
) -> torch.Tensor:
    """Read one position after ``length`` others.

    Args:
        block: A ``RelTransformerBlock`` in evaluation mode.
        x: (B, D).
        cache: Its ``LayerCache`` with a free position, which is written.
        length: Cached positions.
        bias: Of ``hidden_bias``, K = length + 1; None where all keys are visible.

    Returns:
        (B, D).
    """
    x = x + _attend(block.self_attn, block.norm(0, x), cache, length, bias)
    inner = block.feed_forward
    hidden = inner.activation(affine(inner.w_1, block.norm(1, x)))
    return x + affine(inner.w_2, hidden)


def _attend(
    attention: nn.Module,
    x: torch.Tensor,
    cache,
    length: int,
    bias: torch.Tensor | None,
) -> torch.Tensor:
    """Attention of one position (B, D) over the cached ones and itself, (B, D)."""
    total, heads = length + 1, attention.heads
    split = (x.size(0), heads, -1)  # (B, H, E)
    cache.keys.select(2, length).copy_(affine(attention.linear_k, x).view(split))
    cache.values.select(2, length).copy_(affine(attention.linear_v, x).view(split))
    query = affine(attention.linear_q, x).view(split)
    placed = (query + attention.pos_bias_v).transpose(0, 1)  # (H, B, E)
    distances = cache.distances[:, -total:]  # (H, K, E)
    scores = placed.bmm(distances.mT).transpose(0, 1).reshape(-1, 1, total)
    content = (query + attention.pos_bias_u).reshape(len(scores), 1, -1)
    scale = content.size(-1) ** -0.5
    keys = cache.keys.flatten(0, 1).narrow(1, 0, total)  # (B * H, K, E)
    scores = scores.baddbmm(content, keys.mT, beta=scale, alpha=scale)
    if bias is not None:
        scores = (scores.view(*split[:2], total) + bias).view_as(scores)
    weights = scores.softmax(dim=-1)
    for watch in attention.watchers:
        watch(weights.view(*split[:2], 1, total))
    context = weights.bmm(cache.values.flatten(0, 1).narrow(1, 0, total))
    return affine(attention.linear_out, context.view_as(x))
