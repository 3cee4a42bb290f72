"""Ablations of what the aggregator attends to (golden cases G1c-e and G1i).

Enters: ``EncoderStates``. Leaves: ``EncoderStates`` whose keys and values are one and
the same tensor, or averages over given spans. Legend: B utterances, N text tokens, F
frames, D features.
"""

import torch
from torch import nn

from espnet2_taste.structures import EncoderStates
from espnet2_taste.tokenizer.word_pooling import span_means


class LastLayerStates(nn.Module):
    """Keys and values from the last layer (``original``)."""

    def forward(self, states: EncoderStates) -> EncoderStates:
        """(B, F, D) keys serve as values."""
        return EncoderStates(states.keys, states.keys, states.lengths)


class SummedStates(nn.Module):
    """Keys and values are the sum of both layers (``add``)."""

    def forward(self, states: EncoderStates) -> EncoderStates:
        """(B, F, D) keys plus values serve as both."""
        both = states.keys + states.values
        return EncoderStates(both, both, states.lengths)


class NormedSumStates(nn.Module):
    """The sum of both layers through a layer norm (``add_and_norm``).

    Args:
        size: Features D.
    """

    def __init__(self, size: int):
        super().__init__()
        self.norm = nn.LayerNorm(size)

    def forward(self, states: EncoderStates) -> EncoderStates:
        """(B, F, D) normed keys plus values serve as both."""
        both = self.norm(states.keys + states.values)
        return EncoderStates(both, both, states.lengths)


class SpanAverage(nn.Module):
    """Averages frames over known token times instead of attending.

    Args:
        value_size: Features of the encoder's values.
        output_size: Features D of the result.
    """

    def __init__(self, value_size: int, output_size: int):
        super().__init__()
        self.output_size = output_size
        self.affine = nn.Linear(value_size, output_size)

    def forward(self, states: EncoderStates, spans: torch.Tensor) -> torch.Tensor:
        """Average, then map.

        Args:
            states: Values (B, F, D_value) are used.
            spans: Start and end of each token as a share of the length, (B, N, 2).

        Returns:
            (B, N, D).
        """
        return self.affine(span_means(states.values, states.lengths, spans))
