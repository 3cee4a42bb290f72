"""One more position through a block with relative positions: generation's inner loop.

Enters: the newest vector of each utterance (B, D) and what its block has cached.
Leaves: (B, D), what ``RelTransformerBlock.extend`` gives for one position. Most of a
step is reading the weights; here nothing else is done that a single position does not
need, which takes a sixth off it. What is cached stands here as well.

Legend: B utterances, K positions so far, C capacity of a cache, H heads, D features, E
features of one head, O outputs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

MANY_ROWS = 8
"""Rows from which a CPU multiplies faster with the weights on the left."""
Rows = Callable[..., torch.Tensor]


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

    The layers stand in one tensor, so that one view of it serves them all, and what a
    position gets lies together, so that products are written to where they stay.

    Attributes:
        valid: False at positions in use that are padding, (B, C).
        keys: (L, C, B, H, E), C is the capacity.
        values: (L, C, B, H, E).
        distances: As in ``LayerCache``, (L, H, E, C).
        reader: Reads one position.
        length: Positions in use, padding included.
        padded: Whether any position was padding.
        bias: Of ``scores_bias``, for C keys: what padding gets, and then each head's
            (1 or 1 + H, B, C); None whenever it has to be made anew.
    """

    valid: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor
    distances: torch.Tensor
    reader: "StackReader"
    length: int = 0
    padded: bool = False
    bias: torch.Tensor | None = None

    @property
    def capacity(self) -> int:
        """Positions that fit before the buffers grow."""
        return self.valid.size(1)

    def layer(self, index: int) -> LayerCache:
        """Views of one layer's part, through which positions are written."""
        keys, values = (x[index].permute(1, 2, 0, 3) for x in (self.keys, self.values))
        return LayerCache(keys, values, self.distances[index])

    def newest(self) -> Iterator[tuple[torch.Tensor, ...]]:
        """What a block writes and reads for the newest position, one entry a layer.

        Yields:
            Where its key and its value go, (D,) of one utterance, (B, D) of several;
            all keys (B * H, E, K), all values (B * H, K, E) and the distances of all
            keys (H, E, K).
        """
        layers, _, batch = self.keys.shape[:3]
        shape = (layers, -1) if batch == 1 else (layers, batch, -1)
        keys, values = (x.narrow(1, 0, self.length) for x in (self.keys, self.values))
        written = [x.select(1, self.length - 1).view(shape) for x in (keys, values)]
        keys, values = (x.flatten(2, 3).transpose(1, 2) for x in (keys, values))
        distances = self.distances.narrow(3, self.capacity - self.length, self.length)
        return zip(*(x.unbind() for x in (*written, keys.mT, values, distances)))

    def select(self, rows: torch.Tensor) -> None:
        """Keep only these utterances, given as indices (B',)."""
        self.valid, self.bias = self.valid[rows], None
        self.keys, self.values = self.keys[:, :, rows], self.values[:, :, rows]


def affine(layer: nn.Module) -> Rows:
    """What a linear layer does to one vector or few rows, (D,) -> (O,).

    The function takes vectors (D,) or (B, D), and where the result goes, if that is
    known.
    """
    if not isinstance(layer, nn.Linear):  # a quantized one
        # which takes rows alone
        return lambda x, out=None: _put(
            layer(torch.atleast_2d(x)).view(*x.shape[:-1], -1), out
        )
    weight, bias = layer.weight, layer.bias
    column, on_gpu = bias.unsqueeze(1), weight.is_cuda

    def apply(x: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        if x.dim() == 1:
            return torch.addmv(bias, weight, x, out=out)
        if on_gpu or x.size(0) < MANY_ROWS:
            return _put(functional.linear(x, weight, bias), out)
        return _put(torch.addmm(column, weight, x.T).T, out)

    return apply


def _put(x: torch.Tensor, out: torch.Tensor | None) -> torch.Tensor:
    return x if out is None else out.copy_(x)


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
        bias = cache.keys.new_zeros(cache.valid.shape)
        bias.masked_fill_(~cache.valid, float("-inf"))
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
        self.scale = (attention.linear_q.out_features // self.heads) ** -0.5
        biases = torch.stack([attention.pos_bias_u, attention.pos_bias_v])
        self.biases = biases.flatten(1).unsqueeze(1) * self.scale  # (2, 1, D)
        self.widen, self.narrow = affine(inner.w_1), affine(inner.w_2)
        self.activation = inner.activation.forward
        norms = (getattr(block, name) for name in block.norm_names)
        self.attention_norm, self.feed_forward_norm = map(normalizer, norms)

    def __call__(
        self,
        x: torch.Tensor,
        newest: tuple[torch.Tensor, ...],
        bias: torch.Tensor | None,
    ) -> torch.Tensor:
        """Read one position.

        Args:
            x: (D,) of one utterance, (B, D) of several.
            newest: The block's entry of ``StackCache.newest``.
            bias: Of ``scores_bias``.

        Returns:
            Shaped as ``x``, what ``RelTransformerBlock.extend`` gives for the position.
        """
        x = self._attend(self.attention_norm(x), *newest, bias).add_(x)
        hidden = self.activation(self.widen(self.feed_forward_norm(x)))
        return self.narrow(hidden).add_(x)

    def _attend(self, x, key, value, keys, values, distances, bias) -> torch.Tensor:
        """Attention over the cached positions and this one, shaped as ``x``."""
        self.key(x, out=key)
        self.value(x, out=value)
        queries = torch.add(self.biases, self.query(x), alpha=self.scale)  # (2, B, D)
        content, placed = queries.reshape(2, len(keys), 1, -1).unbind()  # (B * H, 1, E)
        total, many = keys.size(2), len(keys) > self.heads
        if many:
            placed = placed.view(-1, self.heads, placed.size(2)).transpose(0, 1)
        if bias is None:
            scores = placed.bmm(distances)  # (H, B, K)
        else:
            scores = bias.baddbmm(placed, distances)
        if many:
            scores = scores.transpose(0, 1).reshape(-1, 1, total)  # (B * H, 1, K)
        weights = scores.baddbmm_(content, keys).softmax(dim=-1)
        for watch in self.watchers:
            watch(weights.view(-1, self.heads, 1, total))
        return self.out(weights.bmm(values).view(x.shape))


class StackReader:
    """Reads one position after the other through a stack.

    Args:
        stack: A ``RelTransformer`` in evaluation mode.
    """

    def __init__(self, stack: nn.Module):
        linear, norm, _, activation = stack.embed.out
        self.linear, self.norm = affine(linear), normalizer(norm)
        self.activation, self.scale = activation.forward, stack.embed.scale
        self.blocks = [BlockReader(block) for block in stack.encoders]
        self.last_norm = normalizer(stack.after_norm)

    def __call__(
        self,
        x: torch.Tensor,
        cache: StackCache,
        hidden: tuple[int, torch.Tensor] | None,
    ) -> torch.Tensor:
        """Read one position.

        Args:
            x: (B, D_in).
            cache: Counts the position already, and has room for it.
            hidden: Of ``RelTransformer.step``.

        Returns:
            (B, D).
        """
        bias = scores_bias(cache, hidden, self.blocks[0].heads)
        row = x.squeeze(0)  # one utterance is a vector, which is read faster
        row = self.activation(self.norm(self.linear(row))).mul_(self.scale)
        for read, newest in zip(self.blocks, cache.newest()):
            row = read(row, newest, bias)
        return self.last_norm(row).view(len(x), -1)
