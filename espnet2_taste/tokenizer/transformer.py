"""Pre-norm Transformer blocks of the aggregator.

Enters and leaves: features (B, L, D). Attention masks are boolean, broadcastable to
(B, H, Lq, Lk), True where a query may look. Legend: B utterances, H heads, L (Lq
queries, Lk keys) positions, D features. Parameter names follow Whisper's.
"""

import torch
from torch import nn
from torch.nn import functional as F

from espnet2_taste.dropout import Dropout


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention with keys and values from separate tensors.

    Args:
        size: D, of the queries and the output.
        num_heads: H.
        key_size: Features of the keys; ``size`` when not given.
        value_size: Features of the values; ``size`` when not given.
        key_bias: Whether the key projection has a bias (Whisper's has none).
        dropout: Dropout on the attention weights.
    """

    def __init__(
        self,
        size: int,
        num_heads: int,
        key_size: int | None = None,
        value_size: int | None = None,
        key_bias: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        if size % num_heads:
            raise ValueError(
                f"size {size} is not divisible by num_heads {num_heads}: change one"
            )
        self.num_heads = num_heads
        self.dropout = dropout
        self.q_proj = nn.Linear(size, size)
        self.k_proj = nn.Linear(key_size or size, size, bias=key_bias)
        self.v_proj = nn.Linear(value_size or size, size)
        self.out_proj = nn.Linear(size, size)

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, H, L, D/H)

    def forward(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        mask: torch.Tensor | None = None,
        causal: bool = False,
    ) -> torch.Tensor:
        """Attend.

        Args:
            queries: (B, Lq, D).
            keys: (B, Lk, D_key).
            values: (B, Lk, D_value).
            mask: Visible positions, broadcastable to (B, H, Lq, Lk), or None.
            causal: Hide later positions; exclusive with ``mask``.

        Returns:
            (B, Lq, D).
        """
        mixed = F.scaled_dot_product_attention(
            self._heads(self.q_proj(queries)),
            self._heads(self.k_proj(keys)),
            self._heads(self.v_proj(values)),
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=causal,
        )
        return self.out_proj(mixed.transpose(1, 2).flatten(2))  # (B, Lq, D)

    def weights(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Attention probabilities, for plots.

        Args:
            queries: (B, Lq, D).
            keys: (B, Lk, D_key).
            mask: As in ``forward``.

        Returns:
            (B, H, Lq, Lk), each row summing to one.
        """
        query, key = self._heads(self.q_proj(queries)), self._heads(self.k_proj(keys))
        scores = query @ key.transpose(-2, -1) * query.size(-1) ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return scores.softmax(dim=-1)


class FeedForward(nn.Module):
    """Two linear layers with an activation between.

    Args:
        size: D.
        linear_units: Hidden features.
        activation: The activation, a module without parameters.
        dropout: Dropout behind the activation.
    """

    def __init__(
        self, size: int, linear_units: int, activation: nn.Module, dropout: float = 0.0
    ):
        super().__init__()
        self.fc1 = nn.Linear(size, linear_units)
        self.fc2 = nn.Linear(linear_units, size)
        self.activation = activation
        self.dropout = Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, L, D) -> (B, L, D)."""
        return self.fc2(self.dropout(self.activation(self.fc1(x))))


class DecoderBlock(nn.Module):
    """Causal self-attention, cross-attention over speech, feed-forward.

    Args:
        size: D.
        num_heads: H.
        linear_units: Hidden features of the feed-forward.
        activation: Activation of the feed-forward.
        key_size: Features of the speech keys.
        value_size: Features of the speech values.
        key_bias: Whether key projections have a bias.
        dropout: Dropout rate of every sub-layer.
        norm_eps: Epsilon of the layer norms.
    """

    def __init__(
        self,
        size: int,
        num_heads: int,
        linear_units: int,
        activation: nn.Module,
        key_size: int,
        value_size: int,
        key_bias: bool,
        dropout: float,
        norm_eps: float,
    ):
        super().__init__()
        self.self_attn = MultiHeadAttention(
            size, num_heads, key_bias=key_bias, dropout=dropout
        )
        self.self_attn_layer_norm = nn.LayerNorm(size, eps=norm_eps)
        self.encoder_attn = MultiHeadAttention(
            size, num_heads, key_size, value_size, key_bias, dropout
        )
        self.encoder_attn_layer_norm = nn.LayerNorm(size, eps=norm_eps)
        self.feed_forward = FeedForward(size, linear_units, activation, dropout)
        self.final_layer_norm = nn.LayerNorm(size, eps=norm_eps)
        self.dropout = Dropout(dropout)

    def _self_attention(self, x: torch.Tensor) -> torch.Tensor:
        normed = self.self_attn_layer_norm(x)
        return x + self.dropout(self.self_attn(normed, normed, normed, causal=True))

    def forward(
        self,
        x: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        frame_mask: torch.Tensor,
    ) -> torch.Tensor:
        """One block.

        Args:
            x: Text side, (B, L, D).
            keys: (B, F, D_key).
            values: (B, F, D_value).
            frame_mask: Frames to attend to, (B, 1, 1 or L, F).

        Returns:
            (B, L, D).
        """
        x = self._self_attention(x)
        normed = self.encoder_attn_layer_norm(x)
        x = x + self.dropout(self.encoder_attn(normed, keys, values, frame_mask))
        return x + self.dropout(self.feed_forward(self.final_layer_norm(x)))
