"""Checkpoints without the parts that never train.

Enters: a model some of whose sub-modules are frozen and rebuilt from their own files.
Leaves: state dicts that hold everything else, checked name by name on loading.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


class TrainableState(nn.Module):
    """Mixin for ESPnet models: put it before ``AbsESPnetModel`` in the bases.

    Attributes:
        frozen_prefixes: Beginnings of the names that checkpoints leave out, each with
            its final dot.

    Example:
        >>> class Model(TrainableState):
        ...     frozen_prefixes = ("encoder.",)
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.encoder, self.head = nn.Linear(2, 2), nn.Linear(2, 2)
        >>> sorted(Model().state_dict())
        ['head.bias', 'head.weight']
    """

    frozen_prefixes: tuple[str, ...] = ()

    def state_dict(self, *args, **kwargs) -> dict[str, torch.Tensor]:
        """Everything but the frozen parts.

        Args:
            *args: As ``torch.nn.Module.state_dict``.
            **kwargs: As ``torch.nn.Module.state_dict``.

        Returns:
            Names -> tensors.
        """
        state = super().state_dict(*args, **kwargs)
        prefix = kwargs.get("prefix", "")
        frozen = tuple(prefix + name for name in self.frozen_prefixes)
        for name in [name for name in state if name.startswith(frozen)]:
            del state[name]
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ):
        """Load all that ``state_dict`` saves, no more and no less.

        ESPnet reloads models with ``strict=False``, which would let any file pass;
        names are therefore always checked here.

        Args:
            state_dict: Names -> tensors.
            strict: Accepted for compatibility; names are checked either way.
            assign: As ``torch.nn.Module.load_state_dict``.

        Returns:
            As ``torch.nn.Module.load_state_dict``.

        Raises:
            RuntimeError: Names are missing or unexpected, or shapes differ.
        """
        wanted = set(self.state_dict())
        missing = sorted(wanted - set(state_dict))
        unexpected = sorted(set(state_dict) - wanted)
        if missing or unexpected:
            raise RuntimeError(
                f"the checkpoint does not fit {type(self).__name__}: missing "
                f"{_shorten(missing)}, unexpected {_shorten(unexpected)}. Use the "
                "config.yaml saved with the checkpoint"
            )
        return super().load_state_dict(state_dict, strict=False, assign=assign)


def _shorten(names: list[str], shown: int = 8) -> str:
    if not names:
        return "nothing"
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
