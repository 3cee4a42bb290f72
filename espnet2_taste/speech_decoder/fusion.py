"""Fusion of the encoded text with the encoded TASTE vectors.

Enters: text (B, N, D) and taste (B, N, D), one row a text token. Leaves: one
sequence (B, N, D) that conditions the unit language model.

Legend: B utterances, N text tokens, D features.
"""

from abc import ABC, abstractmethod

import torch
from torch import nn
from torch.nn import functional


class AbsFusion(nn.Module, ABC):
    """Joins text and TASTE row by row.

    Args:
        size: Features D.
    """

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    @abstractmethod
    def forward(self, text: torch.Tensor, taste: torch.Tensor) -> torch.Tensor:
        """Fuse.

        Args:
            text: (B, N, D).
            taste: (B, N, D).

        Returns:
            (B, N, D).
        """


class WeightedSumFusion(AbsFusion):
    """Sum with two learned weights that add up to one (paper, section 3.1).

    Args:
        size: Features D.
        taste_logit: Initial logit of the TASTE side.
        text_logit: Initial logit of the text side; 2 against -2 starts near text.
        normalize: Whether both sides pass a LayerNorm without parameters first, as
            the paper writes; the published model goes without.
    """

    def __init__(
        self,
        size: int,
        taste_logit: float = 1.0,
        text_logit: float = 1.0,
        normalize: bool = False,
    ):
        super().__init__(size)
        self.normalize = normalize
        self.weights = nn.Parameter(torch.tensor([taste_logit, text_logit]))

    def forward(self, text: torch.Tensor, taste: torch.Tensor) -> torch.Tensor:
        """See ``AbsFusion.forward``."""
        if self.normalize:
            text = functional.layer_norm(text, (self.size,))
            taste = functional.layer_norm(taste, (self.size,))
        taste_weight, text_weight = self.weights.softmax(0)
        return taste_weight * taste + text_weight * text


class SumFusion(AbsFusion):
    """Plain sum: both sides keep their size, as with added embeddings."""

    def forward(self, text: torch.Tensor, taste: torch.Tensor) -> torch.Tensor:
        """See ``AbsFusion.forward``."""
        return text + taste


class ConcatFusion(AbsFusion):
    """Features side by side, then a linear layer back to D.

    Args:
        size: Features D.
    """

    def __init__(self, size: int):
        super().__init__(size)
        self.linear = nn.Linear(2 * size, size)

    def forward(self, text: torch.Tensor, taste: torch.Tensor) -> torch.Tensor:
        """See ``AbsFusion.forward``."""
        return self.linear(torch.cat([text, taste], dim=-1))
