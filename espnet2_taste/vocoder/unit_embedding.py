"""What a unit vocoder knows of each unit: one vector, or a mixture of them.

Enters: units (B, U), or mixtures of all units (B, U, K), which a unit decoder that is
not sure of a unit can give. Leaves: vectors (B, U, H).

Legend: B utterances, U units, K unit classes, H features.
"""

import torch


class UnitEmbedding(torch.nn.Embedding):
    """A vector for each of K units; mixtures get the same mixture of vectors."""

    def forward(self, units: torch.Tensor) -> torch.Tensor:
        """Units (...) int64 or mixtures (..., K) to vectors (..., H)."""
        if units.is_floating_point():
            return units @ self.weight
        return super().forward(units)
