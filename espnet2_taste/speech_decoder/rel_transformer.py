"""Pre-norm transformer with relative positions, causal or not, with a K/V cache.

Enters: vectors (B, T, D_in) and a mask (B, T) of the valid positions. Leaves:
vectors (B, T, D). The unit decoder stacks three of these and the flow of the unit
vocoder one; parameter names are those of ESPnet-style published checkpoints.

Only distances between positions count, so padding may stand on either side and
never changes what the valid positions give.

Legend: B utterances, T positions, K keys (past and present), R distances, H heads,
D features, E features of one head.
"""

import math
from dataclasses import dataclass, field
from typing import List, Optional, Sequence, Tuple, Type

import torch
from torch import nn
from torch.nn import functional


def distance_encoding(
    first: int, last: int, size: int, like: torch.Tensor
) -> torch.Tensor:
    """Sinusoids of the distances ``first, first - 1, ..., last``.

    Args:
        first: Largest distance (query position minus key position).
        last: Smallest distance, negative for keys to the right of the query.
        size: Features D, even.
        like: Tensor whose dtype and device the result takes.

    Returns:
        Sine at even and cosine at odd features, (R, D), R = first - last + 1.
    """
    distances = torch.arange(first, last - 1, -1, device=like.device).float()
    index = torch.arange(0, size, 2, device=like.device).float()
    rates = torch.exp(index * (-math.log(10000.0) / size))
    angles = distances.unsqueeze(1) * rates  # (R, D / 2)
    waves = torch.stack([angles.sin(), angles.cos()], dim=-1)  # (R, D / 2, 2)
    return waves.flatten(1).to(like.dtype)  # (R, D)


def align_distances(scores: torch.Tensor, num_keys: int) -> torch.Tensor:
    """Turn scores per distance into scores per key.

    The queries are the last T of the K positions; column c of ``scores`` belongs to
    distance K - 1 - c. Keys to the right of the query get the score of their negative
    distance where ``scores`` reaches that far (R = K + T - 1) and an arbitrary finite
    value where it stops at distance 0 (R = K), for a causal mask to remove.

    Args:
        scores: (B, H, T, R), R = K or K + T - 1.
        num_keys: K.

    Returns:
        (B, H, T, K).
    """
    batch, heads, queries, distances = scores.shape
    if queries == 1:
        return scores[..., :num_keys]
    # Row t is to be read from column T - 1 - t on. In a row-major layout with one
    # more column, that is a constant stride of R between the rows.
    flat = functional.pad(scores, (0, 1)).flatten(2)  # (B, H, T * (R + 1))
    flat = flat[..., queries - 1 : queries - 1 + queries * distances]
    return flat.view(batch, heads, queries, distances)[..., :num_keys]


def visible_keys(valid: torch.Tensor, queries: int, causal: bool) -> torch.Tensor:
    """Which key each of the last positions may look at.

    Every position sees itself, padding too, so that no row of the softmax is empty.

    Args:
        valid: True at real positions, (B, K).
        queries: T, the queries are the last T of the K positions.
        causal: Whether keys to the right of the query are hidden.

    Returns:
        Boolean mask, (B, 1, T, K).
    """
    keys = torch.arange(valid.size(1), device=valid.device)
    distance = keys[-queries:].unsqueeze(1) - keys  # (T, K)
    visible = valid.unsqueeze(1)  # (B, 1, K)
    if causal:
        visible = visible & (distance >= 0)  # (B, T, K)
    return (visible | (distance == 0)).unsqueeze(1)


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
        layers: One entry a layer.
    """

    valid: torch.Tensor
    length: int = 0
    layers: List[LayerCache] = field(default_factory=list)

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


class RelPositionAttention(nn.Module):
    """Multi-head attention with relative positions (Dai et al., Transformer-XL).

    Score of query i and key j: ((q_i + u) k_j + (q_i + v) p_{i-j}) / sqrt(E).

    Args:
        size: Features D.
        heads: Heads H, a divisor of D.
        dropout_rate: Dropout of the attention weights.

    Raises:
        ValueError: The heads do not divide the features.
    """

    def __init__(self, size: int, heads: int, dropout_rate: float = 0.0):
        super().__init__()
        if size % heads != 0:
            raise ValueError(
                f"attention size ({size}) must be a multiple of the heads ({heads})"
            )
        self.heads = heads
        self.dropout_rate = dropout_rate
        self.linear_q = nn.Linear(size, size)
        self.linear_k = nn.Linear(size, size)
        self.linear_v = nn.Linear(size, size)
        self.linear_out = nn.Linear(size, size)
        self.linear_pos = nn.Linear(size, size, bias=False)
        self.pos_bias_u = nn.Parameter(torch.empty(heads, size // heads))
        self.pos_bias_v = nn.Parameter(torch.empty(heads, size // heads))
        nn.init.xavier_uniform_(self.pos_bias_u)
        nn.init.xavier_uniform_(self.pos_bias_v)

    def project_distances(self, encoding: torch.Tensor) -> torch.Tensor:
        """Project sinusoids (R, D) to one vector a head, (H, R, E)."""
        return self._split(self.linear_pos(encoding).unsqueeze(0)).squeeze(0)

    def project_keys(self, x: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        """Keys and values (B, H, T, E) of vectors (B, T, D)."""
        return self._split(self.linear_k(x)), self._split(self.linear_v(x))

    def forward(
        self,
        x: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        distances: torch.Tensor,
        visible: torch.Tensor,
    ) -> torch.Tensor:
        """Attend from each position of ``x``.

        Args:
            x: Queries, the last T of the K positions, (B, T, D).
            keys: (B, H, K, E).
            values: (B, H, K, E).
            distances: Projected encodings of K - 1, K - 2, ..., (H, R, E).
            visible: (B, 1, T, K) or broadcastable.

        Returns:
            (B, T, D).
        """
        query = self._split(self.linear_q(x))  # (B, H, T, E)
        by_distance = torch.matmul(
            query + self.pos_bias_v.unsqueeze(1), distances.transpose(1, 2)
        )  # (B, H, T, R)
        bias = align_distances(by_distance, keys.size(2)) / math.sqrt(query.size(-1))
        bias = bias.masked_fill(~visible, float("-inf"))  # (B, H, T, K)
        context = functional.scaled_dot_product_attention(
            query + self.pos_bias_u.unsqueeze(1),
            keys,
            values,
            attn_mask=bias,
            dropout_p=self.dropout_rate if self.training else 0.0,
        )  # (B, H, T, E)
        return self.linear_out(context.transpose(1, 2).flatten(2))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, D) -> (B, H, T, E)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers, position by position.

    Args:
        size: Features D.
        hidden_units: Width of the inner layer.
        dropout_rate: Dropout after the activation.
        activation: Class of the activation.
    """

    def __init__(
        self,
        size: int,
        hidden_units: int,
        dropout_rate: float,
        activation: Type[nn.Module],
    ):
        super().__init__()
        self.w_1 = nn.Linear(size, hidden_units)
        self.activation = activation()
        self.dropout = nn.Dropout(dropout_rate)
        self.w_2 = nn.Linear(hidden_units, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, D) -> (B, T, D)."""
        return self.w_2(self.dropout(self.activation(self.w_1(x))))


class RelTransformerBlock(nn.Module):
    """Attention and feed-forward, each after a LayerNorm and with a residual.

    Args:
        size: Features D.
        attention: Attention over D features.
        feed_forward: Position-wise layer over D features.
        dropout_rate: Dropout of both residual branches.
        norm_names: Attribute names of the two norms, which differ between published
            stacks.
    """

    def __init__(
        self,
        size: int,
        attention: RelPositionAttention,
        feed_forward: FeedForward,
        dropout_rate: float,
        norm_names: Sequence[str],
    ):
        super().__init__()
        self.self_attn = attention
        self.feed_forward = feed_forward
        self.dropout = nn.Dropout(dropout_rate)
        self.norm_names = tuple(norm_names)
        for name in self.norm_names:
            self.add_module(name, nn.LayerNorm(size))

    def forward(
        self,
        x: torch.Tensor,
        encoding: torch.Tensor,
        visible: torch.Tensor,
    ) -> torch.Tensor:
        """Whole sequences at once.

        Args:
            x: (B, T, D).
            encoding: Sinusoids of the distances, (R, D).
            visible: (B, 1, T, T).

        Returns:
            (B, T, D).
        """
        normed = self._norm(0, x)
        keys, values = self.self_attn.project_keys(normed)
        distances = self.self_attn.project_distances(encoding)
        return self._residuals(x, normed, keys, values, distances, visible)

    def extend(
        self, x: torch.Tensor, cache: LayerCache, length: int, visible: torch.Tensor
    ) -> torch.Tensor:
        """Further positions after ``length`` cached ones.

        Args:
            x: (B, T, D).
            cache: Buffers with room for T more positions, written in place.
            length: Cached positions.
            visible: (B, 1, T, K), K = length + T.

        Returns:
            (B, T, D).
        """
        total = length + x.size(1)
        normed = self._norm(0, x)
        keys, values = self.self_attn.project_keys(normed)
        cache.keys[:, :, length:total] = keys
        cache.values[:, :, length:total] = values
        return self._residuals(
            x,
            normed,
            cache.keys[:, :, :total],
            cache.values[:, :, :total],
            cache.distances[:, -total:],
            visible,
        )

    def _norm(self, index: int, x: torch.Tensor) -> torch.Tensor:
        return getattr(self, self.norm_names[index])(x)

    def _residuals(self, x, normed, keys, values, distances, visible):
        attended = self.self_attn(normed, keys, values, distances, visible)
        x = x + self.dropout(attended)
        return x + self.dropout(self.feed_forward(self._norm(1, x)))


class InputLayer(nn.Module):
    """Linear, LayerNorm, dropout and an activation in front of the blocks.

    Args:
        input_size: Features D_in.
        output_size: Features D.
        dropout_rate: Dropout after the norm.
        activation: Class of the activation, ``nn.Identity`` for none.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        dropout_rate: float,
        activation: Type[nn.Module],
    ):
        super().__init__()
        self.out = nn.Sequential(
            nn.Linear(input_size, output_size),
            nn.LayerNorm(output_size),
            nn.Dropout(dropout_rate),
            activation(),
        )
        self.scale = math.sqrt(output_size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, D_in) -> (B, T, D)."""
        return self.out(x) * self.scale


class RelTransformer(nn.Module):
    """Input layer, blocks and a last LayerNorm (TASTE appendix; ESPnet encoder).

    Args:
        input_size: Features D_in.
        output_size: Features D, even.
        num_blocks: Blocks.
        attention_heads: Heads H.
        linear_units: Width of the feed-forward layers.
        causal: Whether a position sees only itself and its past.
        dropout_rate: Dropout of input, positions, residuals and feed-forward.
        attention_dropout_rate: Dropout of the attention weights.
        activation: Class of the feed-forward activation.
        input_activation: Class of the activation of the input layer.
        norm_names: Attribute names of the two norms of a block.
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        num_blocks: int,
        attention_heads: int,
        linear_units: int,
        causal: bool = True,
        dropout_rate: float = 0.1,
        attention_dropout_rate: float = 0.0,
        activation: Type[nn.Module] = nn.SiLU,
        input_activation: Type[nn.Module] = nn.Identity,
        norm_names: Sequence[str] = ("norm_mha", "norm_ff"),
    ):
        super().__init__()
        self.output_size = output_size
        self.causal = causal
        self.embed = InputLayer(input_size, output_size, dropout_rate, input_activation)
        self.dropout = nn.Dropout(dropout_rate)
        self.encoders = nn.ModuleList(
            RelTransformerBlock(
                output_size,
                RelPositionAttention(
                    output_size, attention_heads, attention_dropout_rate
                ),
                FeedForward(output_size, linear_units, dropout_rate, activation),
                dropout_rate,
                norm_names,
            )
            for _ in range(num_blocks)
        )
        self.after_norm = nn.LayerNorm(output_size)

    def forward(
        self, x: torch.Tensor, mask: Optional[torch.Tensor] = None
    ) -> torch.Tensor:
        """Encode whole sequences.

        Args:
            x: (B, T, D_in).
            mask: True at real positions, (B, T); None if nothing is padded.

        Returns:
            (B, T, D); rows at padding are arbitrary but finite.
        """
        length = x.size(1)
        if mask is None:
            mask = x.new_ones(x.shape[:2], dtype=torch.bool)
        x = self.dropout(self.embed(x))
        last = 0 if self.causal else 1 - length
        encoding = self.dropout(
            distance_encoding(length - 1, last, self.output_size, x)
        )  # (R, D)
        visible = visible_keys(mask, length, self.causal)
        for block in self.encoders:
            x = block(x, encoding, visible)
        return self.after_norm(x)

    def start_cache(self, batch: int, capacity: int = 64) -> StackCache:
        """Empty cache for ``extend``.

        Args:
            batch: B.
            capacity: Positions to reserve; the cache grows when they are used up.

        Returns:
            The cache.

        Raises:
            ValueError: The stack is not causal, so later input changes earlier output.
        """
        if not self.causal:
            raise ValueError(
                "only a causal stack can be cached, this one has causal=False"
            )
        weight = self.after_norm.weight
        valid = torch.zeros(batch, 0, dtype=torch.bool, device=weight.device)
        cache = StackCache(valid)
        for block in self.encoders:
            heads = block.self_attn.heads
            empty = weight.new_zeros(batch, heads, 0, self.output_size // heads)
            cache.layers.append(LayerCache(empty, empty, empty[:0]))
        self._reserve(cache, capacity)
        return cache

    def extend(
        self,
        x: torch.Tensor,
        cache: StackCache,
        mask: Optional[torch.Tensor] = None,
    ) -> torch.Tensor:
        """Encode further positions; the same result as ``forward`` on everything.

        Args:
            x: New positions, (B, T, D_in).
            cache: From ``start_cache``; written in place.
            mask: True at real positions among the new ones, (B, T); None for all.

        Returns:
            (B, T, D).
        """
        start, total = cache.length, cache.length + x.size(1)
        if total > cache.capacity:
            self._reserve(cache, max(total, 2 * cache.capacity))
        cache.valid[:, start:total] = True if mask is None else mask
        cache.length = total
        visible = visible_keys(cache.valid[:, :total], x.size(1), causal=True)
        x = self.dropout(self.embed(x))
        for block, layer in zip(self.encoders, cache.layers):
            x = block.extend(x, layer, start, visible)
        return self.after_norm(x)

    def _reserve(self, cache: StackCache, capacity: int) -> None:
        """Grow the buffers of a cache to ``capacity`` positions."""
        extra = capacity - cache.capacity
        cache.valid = functional.pad(cache.valid, (0, extra))
        weight = self.after_norm.weight
        encoding = distance_encoding(capacity - 1, 0, self.output_size, weight)
        for block, layer in zip(self.encoders, cache.layers):
            layer.keys = functional.pad(layer.keys, (0, 0, 0, extra))
            layer.values = functional.pad(layer.values, (0, 0, 0, extra))
            layer.distances = block.self_attn.project_distances(encoding)
