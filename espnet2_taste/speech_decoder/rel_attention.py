"""Attention by relative position: distances, masks and the layer itself.

Enters: vectors (B, T, D), the keys and values of K positions of which the queries are
the last T, projected encodings of their distances and a mask. Leaves: (B, T, D).

Legend: B utterances, T positions, K keys (past and present), R distances, H heads,
D features, E features of one head.
"""

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from espnet2_taste.dropout import Dropout


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


def hide_from_head(
    visible: torch.Tensor, hidden: torch.Tensor, head: int, heads: int
) -> torch.Tensor:
    """Hide some of the first keys from one head, for all queries.

    Args:
        visible: (B, 1, T, K).
        hidden: True at the keys to hide, (B, P), P <= K.
        head: Which head.
        heads: H.

    Returns:
        (B, H, T, K).
    """
    visible = visible.expand(-1, heads, -1, -1).clone()
    visible[:, head, :, : hidden.size(1)] &= ~hidden.unsqueeze(1)
    return visible


class RelPositionAttention(nn.Module):
    """Multi-head attention with relative positions (Dai et al., Transformer-XL).

    Score of query i and key j: ((q_i + u) k_j + (q_i + v) p_{i-j}) / sqrt(E).

    Args:
        size: Features D.
        heads: Heads H, a divisor of D.
        dropout_rate: Dropout of the attention weights.

    Attributes:
        watchers: Called with the attention (B, H, T, K) of every pass, for guided
            attention and for plots.

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
        self.watchers: list[Callable[[torch.Tensor], None]] = []
        self.dropout = Dropout(dropout_rate)
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

    def project_keys(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
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
            visible: (B, 1, T, K), or (B, H, T, K) when heads see different keys.

        Returns:
            (B, T, D).
        """
        scores = self._scores(self._split(self.linear_q(x)), keys, distances)
        weights = scores.masked_fill(~visible, float("-inf")).softmax(-1)
        for watch in self.watchers:
            watch(weights)
        context = self.dropout(weights) @ values  # (B, H, T, E)
        return self.linear_out(context.transpose(1, 2).flatten(2))

    def _scores(
        self, query: torch.Tensor, keys: torch.Tensor, distances: torch.Tensor
    ) -> torch.Tensor:
        """Scores of all keys, (B, H, T, K); what is small is scaled, not they."""
        scale = query.size(-1) ** -0.5
        content = ((query + self.pos_bias_u.unsqueeze(1)) * scale) @ keys.mT
        placed = (query + self.pos_bias_v.unsqueeze(1)) * scale
        by_distance = self._score_distances(placed, distances)  # (B, H, T, R)
        return content + align_distances(by_distance, keys.size(2))

    @staticmethod
    def _score_distances(placed: torch.Tensor, distances: torch.Tensor) -> torch.Tensor:
        """Scores of the distances, (B, H, T, R).

        One product a head for all utterances: broadcasting over them would copy the
        encodings B times.
        """
        batch, heads, queries, _ = placed.shape
        rows = placed.transpose(0, 1).flatten(1, 2)  # (H, B * T, E)
        scores = rows @ distances.transpose(1, 2)  # (H, B * T, R)
        return scores.view(heads, batch, queries, -1).transpose(0, 1)

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, D) -> (B, H, T, E)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
