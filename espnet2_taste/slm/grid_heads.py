"""From the hidden state of a row to what each of its streams is predicted from.

Enters: hidden states (..., H) and the cells of the same row that are known already.
Leaves: one state a stream, which a linear layer turns into logits. Which head a design
has is a name in its YAML.

Legend: S streams, H hidden size of the LM, D size of the depth transformer; ``...``
rows of a batch.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import nn


class AbsGridHead(nn.Module, ABC):
    """States of a row's streams.

    Args:
        hidden_size: H.
        num_streams: S.
    """

    def __init__(self, hidden_size: int, num_streams: int):
        super().__init__()
        self.hidden_size = hidden_size
        self.num_streams = num_streams

    @abstractmethod
    def sizes(self) -> list[int]:
        """Size of the state of each stream, S numbers; the first is H."""

    @abstractmethod
    def forward(
        self, hidden: torch.Tensor, cells: Sequence[torch.Tensor]
    ) -> list[torch.Tensor]:
        """Give the states of the streams that can be predicted now.

        Args:
            hidden: (..., H).
            cells: Embedded cells of the row's first streams, n of them, each (..., H).

        Returns:
            n + 1 states, or S when all cells are given.
        """


class LinearGridHead(AbsGridHead):
    """All streams from the hidden state alone, independent of each other in a row."""

    def sizes(self):
        """See :meth:`AbsGridHead.sizes`."""
        return [self.hidden_size] * self.num_streams

    def forward(self, hidden, cells):
        """See :meth:`AbsGridHead.forward`."""
        return [hidden] * min(len(cells) + 1, self.num_streams)


class DepthGridHead(AbsGridHead):
    """A small transformer over the streams of a row (Moshi).

    The first stream (text) is predicted from the hidden state; each further one from
    the hidden state and the cells before it in the same row.

    Args:
        hidden_size: H.
        num_streams: S.
        size: D.
        num_layers: Layers.
        num_heads: Attention heads.
    """

    def __init__(
        self,
        hidden_size: int,
        num_streams: int,
        size: int = 128,
        num_layers: int = 2,
        num_heads: int = 4,
    ):
        super().__init__(hidden_size, num_streams)
        self.size = size
        self.from_hidden = nn.Linear(hidden_size, size)
        self.from_cell = nn.Linear(hidden_size, size)
        self.place = nn.Parameter(torch.randn(num_streams - 1, size) * 0.02)
        layer = nn.TransformerEncoderLayer(
            size, num_heads, 4 * size, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(
            layer, num_layers, nn.LayerNorm(size), enable_nested_tensor=False
        )

    def sizes(self):
        """See :meth:`AbsGridHead.sizes`."""
        return [self.hidden_size] + [self.size] * (self.num_streams - 1)

    def forward(self, hidden, cells):
        """See :meth:`AbsGridHead.forward`."""
        used = cells[: self.num_streams - 1]
        if not used:
            return [hidden]
        embedded = torch.stack([self.from_cell(cell) for cell in used], dim=-2)
        inputs = (
            embedded + self.from_hidden(hidden)[..., None, :] + self.place[: len(used)]
        )
        mask = nn.Transformer.generate_square_subsequent_mask(
            len(used), device=hidden.device, dtype=inputs.dtype
        )
        rows = inputs.flatten(0, -3)  # (..., n, D) -> (rows, n, D)
        states = self.layers(rows, mask=mask, is_causal=True).view(inputs.shape)
        return [hidden, *states.unbind(dim=-2)]
