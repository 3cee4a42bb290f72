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
        fitted: Buffers that ``fit`` learns; frozen parts have files of their own.
    """

    sample_rate: int
    fitted: tuple[str, ...] = ()

    def fitted_state(self) -> dict[str, torch.Tensor]:
        """What ``fit`` has learned."""
        return {name: getattr(self, name).cpu() for name in self.fitted}

    def load_fitted_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take back what ``fitted_state`` gave.

        Raises:
            ValueError: The state is of something else.
        """
        own = {name: getattr(self, name) for name in self.fitted}
        wanted = {name: (x.dim(), x.shape[:1]) for name, x in own.items()}
        if {name: (x.dim(), x.shape[:1]) for name, x in state.items()} != wanted:
            found = {name: tuple(tensor.shape) for name, tensor in state.items()}
            sizes = ", ".join(f"{name} of {len(x)} rows" for name, x in own.items())
            raise ValueError(
                f"{type(self).__name__} learns {sizes or 'nothing'}, but the state "
                f"holds {found}; fit the units again"
            )
        for name, tensor in state.items():
            setattr(self, name, tensor.to(own[name].device))
