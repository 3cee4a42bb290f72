"""What learns from training speech and keeps it in a file of its own.

Enters: the state that was kept. Leaves: the same.
"""

from abc import ABC
from collections.abc import Mapping

import torch
from torch import nn


class AbsFitted(nn.Module, ABC):
    """Speech to something; a network that is trained already learns nothing more.

    Attributes:
        sample_rate: Rate of the audio that enters, Hz.
    """

    sample_rate: int

    def fitted_state(self) -> dict[str, torch.Tensor]:
        """What ``fit`` has learned; frozen parts have files of their own."""
        return {}

    def load_fitted_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take back what ``fitted_state`` gave.

        Raises:
            ValueError: The state is of something else.
        """
        if state:
            raise ValueError(
                f"{type(self).__name__} learns nothing, but the state holds "
                f"{', '.join(state)}; fit the units again"
            )
