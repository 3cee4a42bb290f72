"""Pre-norm transformer with relative positions, causal or not, with a K/V cache.

Enters: vectors (B, T, D_in) and a mask (B, T) of the valid positions. Leaves:
vectors (B, T, D). The unit decoder stacks three of these and the flow of the unit
vocoder one; parameter names are those of ESPnet-style published checkpoints.

Only distances between positions count, so padding may stand on either side and
never changes what the valid positions give.

Legend: B utterances, T positions, K keys (past and present), R distances, H heads,
C capacity of a cache, D features, E features of one head.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn import functional

from espnet2_taste.dropout import Dropout
from espnet2_taste.speech_decoder.rel_attention import (
    RelPositionAttention,
    distance_encoding,
    hide_from_head,
    visible_keys,
)
from espnet2_taste.speech_decoder.rel_step import (
    LayerCache,
    StackCache,
    StackReader,
)


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
        activation: type[nn.Module],
    ):
        super().__init__()
        self.w_1 = nn.Linear(size, hidden_units)
        self.activation = activation()
        self.dropout = Dropout(dropout_rate)
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
        self.dropout = Dropout(dropout_rate)
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
        normed = self.norm(0, x)
        keys, values = self.self_attn.project_keys(normed)
        distances = self.self_attn.project_distances(encoding)
        return self._residuals(x, normed, keys, values, distances, visible)

    def extend(
        self, x: torch.Tensor, cache: LayerCache, length: int, visible: torch.Tensor
    ) -> torch.Tensor:
        """Further positions after ``length`` cached ones.

        Args:
            x: (B, T, D).
            cache: Buffers with T more free positions, written in place.
            length: Cached positions.
            visible: (B, 1, T, K), K = length + T.

        Returns:
            (B, T, D).
        """
        total = length + x.size(1)
        normed = self.norm(0, x)
        keys, values = self.self_attn.project_keys(normed)
        cache.keys[:, :, length:total] = keys
        cache.values[:, :, length:total] = values
        return self._residuals(
            x,
            normed,
            cache.keys[:, :, :total],
            cache.values[:, :, :total],
            cache.distances.mT[:, -total:],
            visible,
        )

    def norm(self, index: int, x: torch.Tensor) -> torch.Tensor:
        """Before the attention (0) or the feed-forward (1), (..., D) -> (..., D)."""
        return getattr(self, self.norm_names[index])(x)

    def _residuals(self, x, normed, keys, values, distances, visible):
        attended = self.self_attn(normed, keys, values, distances, visible)
        x = x + self.dropout(attended)
        return x + self.dropout(self.feed_forward(self.norm(1, x)))


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
        activation: type[nn.Module],
    ):
        super().__init__()
        self.out = nn.Sequential(
            nn.Linear(input_size, output_size),
            nn.LayerNorm(output_size),
            Dropout(dropout_rate),
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
        activation: type[nn.Module] = nn.SiLU,
        input_activation: type[nn.Module] = nn.Identity,
        norm_names: Sequence[str] = ("norm_mha", "norm_ff"),
    ):
        super().__init__()
        self.output_size = output_size
        self.heads = attention_heads
        self.causal = causal
        self.embed = InputLayer(input_size, output_size, dropout_rate, input_activation)
        self.dropout = Dropout(dropout_rate)
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
        self, x: torch.Tensor, mask: torch.Tensor | None = None
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

    @contextmanager
    def watched(self, head: int) -> Iterator[list[torch.Tensor]]:
        """Keep the attention of one head of every block.

        Args:
            head: Which one.

        Yields:
            A list that each call of ``forward`` extends by one (B, T, T) a block, and
            each call of ``extend`` by one (B, T, K).
        """
        maps: list[torch.Tensor] = []

        def keep(weights: torch.Tensor):
            maps.append(weights[:, head])

        watchers = [block.self_attn.watchers for block in self.encoders]
        for watching in watchers:
            watching.append(keep)
        try:
            yield maps
        finally:
            for watching in watchers:
                watching.remove(keep)

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
        weight, layers = self.after_norm.weight, len(self.encoders)
        valid = torch.zeros(batch, 0, dtype=torch.bool, device=weight.device)
        shape = (layers, 0, batch, self.heads, self.output_size // self.heads)
        empty = weight.new_zeros(shape)
        cache = StackCache(valid, empty, empty, empty, StackReader(self))
        self._grow(cache, capacity)
        return cache

    def extend(
        self,
        x: torch.Tensor,
        cache: StackCache,
        mask: torch.Tensor | None = None,
        hidden: tuple[int, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Encode further positions; the same result as ``forward`` on everything.

        Args:
            x: New positions, (B, T, D_in).
            cache: From ``start_cache``; written in place.
            mask: True at real positions among the new ones, (B, T); None for all.
            hidden: A head, and what is added to its scores of the first P positions: 0,
                or minus infinity at what it may not see, (B, P).

        Returns:
            (B, T, D).
        """
        start, total = cache.length, self._use(cache, x.size(1))
        if mask is not None:
            cache.valid[:, start:total] = mask
            cache.padded, cache.bias = cache.padded or not bool(mask.all()), None
        visible = visible_keys(cache.valid[:, :total], x.size(1), causal=True)
        if hidden is not None:
            visible = hide_from_head(visible, hidden[1] < 0, hidden[0], self.heads)
        x = self.dropout(self.embed(x))
        for index, block in enumerate(self.encoders):
            x = block.extend(x, cache.layer(index), start, visible)
        return self.after_norm(x)

    def step(
        self,
        x: torch.Tensor,
        cache: StackCache,
        hidden: tuple[int, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Encode one further position of each utterance, without a gradient.

        Args:
            x: (B, D_in).
            cache: From ``start_cache``; written in place.
            hidden: See ``extend``.

        Returns:
            What ``extend`` gives in evaluation mode, (B, D).
        """
        self._use(cache, 1)
        return cache.reader(x, cache, hidden)

    def _use(self, cache: StackCache, positions: int) -> int:
        """Count more positions, growing the buffers if need be; how many there are."""
        cache.length += positions
        if cache.length > cache.capacity:
            self._grow(cache, max(cache.length, 2 * cache.capacity))
        return cache.length

    def _grow(self, cache: StackCache, capacity: int) -> None:
        """Grow the buffers of a cache to ``capacity`` positions."""
        extra, weight = capacity - cache.capacity, self.after_norm.weight
        cache.valid = functional.pad(cache.valid, (0, extra), value=True)
        cache.bias = None
        encoding = distance_encoding(capacity - 1, 0, self.output_size, weight)
        room = (*(0, 0) * 3, 0, extra)
        cache.keys, cache.values = (
            functional.pad(x, room) for x in (cache.keys, cache.values)
        )
        cache.distances = torch.stack(
            [block.self_attn.project_distances(encoding).mT for block in self.encoders]
        )
