"""One more position through a block with relative positions: generation's inner loop.

Enters: the newest vector of each utterance (B, D) and what its block has cached.
Leaves: (B, D), what ``RelTransformerBlock.extend`` gives for one position. Most of a
step is reading the weights; here nothing else is done that a single position does not
need, which takes a sixth off it. What is cached stands here as well.

Legend: B utterances, K positions so far, C capacity of a cache, H heads, D features, E
features of one head, O outputs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.nn import functional

MANY_ROWS = 8
"""Rows from which a CPU multiplies faster with the weights on the left."""
Rows = Callable[[torch.Tensor], torch.Tensor]


@dataclass
class LayerCache:
    """Keys and values that one layer has computed so far.

    Attributes:
        keys: (B, H, C, E), C is the capacity.
        values: (B, H, C, E).
        distances: Projected encodings of the distances C - 1 .. 0, (H, E, C), which for
            one position is read faster than (H, C, E).
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
        bias: Of ``scores_bias``, for C keys: what padding gets, and then each head's
            (1 or 1 + H, B, C); None whenever it has to be made anew.
        layers: One entry a layer.
        readers: What reads one position, one a layer.
    """

    valid: torch.Tensor
    length: int = 0
    padded: bool = False
    bias: torch.Tensor | None = None
    layers: list[LayerCache] = field(default_factory=list)
    readers: list["BlockReader"] = field(default_factory=list)

    @property
    def capacity(self) -> int:
        """Positions that fit before the buffers grow."""
        return self.valid.size(1)

    def select(self, rows: torch.Tensor) -> None:
        """Keep only these utterances, given as indices (B',)."""
        self.valid, self.bias = self.valid[rows], None
        for layer in self.layers:
            layer.keys = layer.keys[rows]
            layer.values = layer.values[rows]


def affine(layer: nn.Module) -> Rows:
    """What a linear layer does to few rows, (B, D) -> (B, O)."""
    if not isinstance(layer, nn.Linear):  # a quantized one
        return layer
    weight, bias = layer.weight, layer.bias
    column, on_gpu = bias.unsqueeze(1), weight.is_cuda

    def apply(x: torch.Tensor) -> torch.Tensor:
        if on_gpu or 1 < x.size(0) < MANY_ROWS:
            return functional.linear(x, weight, bias)
        if x.size(0) == 1:
            return torch.addmv(bias, weight, x.squeeze(0)).unsqueeze(0)
        return torch.addmm(column, weight, x.T).T

    return apply


def normalizer(norm: nn.LayerNorm) -> Rows:
    """What a layer norm does to rows, (B, D) -> (B, D)."""
    shape, weight, bias, eps = norm.normalized_shape, norm.weight, norm.bias, norm.eps
    return lambda x: torch.layer_norm(x, shape, weight, bias, eps)


def scores_bias(
    cache: StackCache, hidden: tuple[int, torch.Tensor] | None, heads: int
) -> torch.Tensor | None:
    """What is added to the scores of one position's keys, which the cache counts.

    What padding gets is made once, what the hidden keys get each time.

    Args:
        cache: Of the stack; the newest position is no padding.
        hidden: A head, and what is added there for the first P positions, (B, P).
        heads: H.

    Returns:
        0 where a key is visible, else minus infinity, (1 or H, B, K); None if all keys
        are visible.
    """
    if hidden is None and not cache.padded:
        return None
    rows = 1 if hidden is None else 1 + heads
    if cache.bias is None or len(cache.bias) < rows:
        unseen = ~cache.valid
        unseen[:, cache.length :] = False  # will be valid when they are read
        bias = cache.layers[0].keys.new_zeros(unseen.shape)
        bias.masked_fill_(unseen, float("-inf"))
        cache.bias = bias.expand(rows, -1, -1).clone()
    if hidden is None:
        return cache.bias[:1].narrow(2, 0, cache.length)
    head, added = hidden
    padding, guided = cache.bias[0, :, : added.size(1)], cache.bias[1 + head]
    torch.add(padding, added, out=guided.narrow(1, 0, added.size(1)))
    return cache.bias[1:].narrow(2, 0, cache.length)


class BlockReader:
    """Reads one position after the other through a block.

    The weights are looked up once, since for one row that takes as long as the small
    operations do.

    Args:
        block: A ``RelTransformerBlock`` in evaluation mode.
    """

    def __init__(self, block: nn.Module):
        attention, inner = block.self_attn, block.feed_forward
        self.heads, self.watchers = attention.heads, attention.watchers
        projections = attention.linear_q, attention.linear_k, attention.linear_v
        self.query, self.key, self.value = map(affine, projections)
        self.out = affine(attention.linear_out)
        biases = attention.pos_bias_u, attention.pos_bias_v
        self.biases = torch.stack(biases).unsqueeze(1)  # (2, 1, H, E)
        self.widen, self.narrow = affine(inner.w_1), affine(inner.w_2)
        self.activation = inner.activation
        norms = (getattr(block, name) for name in block.norm_names)
        self.attention_norm, self.feed_forward_norm = map(normalizer, norms)

    def __call__(
        self,
        x: torch.Tensor,
        cache: LayerCache,
        length: int,
        bias: torch.Tensor | None,
    ) -> torch.Tensor:
        """Read one position after ``length`` others.

        Args:
            x: (B, D).
            cache: Of the block, with a free position, which is written.
            length: Cached positions.
            bias: Of ``scores_bias``, K = length + 1.

        Returns:
            (B, D), what ``RelTransformerBlock.extend`` gives for the position.
        """
        x = x + self._attend(self.attention_norm(x), cache, length, bias)
        hidden = self.activation(self.widen(self.feed_forward_norm(x)))
        return x + self.narrow(hidden)

    def _attend(
        self, x: torch.Tensor, cache: LayerCache, length: int, bias
    ) -> torch.Tensor:
        """Attention of one position (B, D) over the cached ones and itself, (B, D)."""
        total, (batch, width) = length + 1, x.shape
        split = (batch, self.heads, width // self.heads)  # (B, H, E)
        cache.keys.select(2, length).copy_(self.key(x).view(split))
        cache.values.select(2, length).copy_(self.value(x).view(split))
        content, placed = (self.query(x).view(split) + self.biases).unbind()
        distances = cache.distances.narrow(2, cache.distances.size(2) - total, total)
        placed = placed.transpose(0, 1)  # (H, B, E)
        if bias is None:
            scores = placed.bmm(distances)  # (H, B, K)
        else:
            scores = bias.baddbmm(placed, distances)
        scores = scores.transpose(0, 1).reshape(-1, 1, total)  # (B * H, 1, K)
        keys = cache.keys.flatten(0, 1).narrow(1, 0, total)  # (B * H, K, E)
        rows, scale = content.reshape(len(keys), 1, -1), split[2] ** -0.5
        scores = scores.baddbmm(rows, keys.mT, beta=scale, alpha=scale)
        weights = scores.softmax(dim=-1)
        for watch in self.watchers:
            watch(weights.view(batch, -1, 1, total))
        context = weights.bmm(cache.values.flatten(0, 1).narrow(1, 0, total))
        return self.out(context.view(batch, width))
