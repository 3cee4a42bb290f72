"""What is computed in float32 although a training runs in half precision.

Enters: a function of tensors. Leaves: the same without autocast, its tensors in
float32: powers of spectra overflow in 16 bits, and their logarithms lose what is quiet.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch


def _widened(value: Any) -> Any:
    half = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.float() if half else value


def in_float32(function: Callable) -> Callable:
    """Run a function of tensors without autocast.

    Args:
        function: A function or method; at least one argument is a tensor.

    Returns:
        The same; tensors of less than 32 bits enter as float32.
    """

    @wraps(function)
    def call(*args, **kwargs):
        values = [*args, *kwargs.values()]
        device = next(x.device.type for x in values if isinstance(x, torch.Tensor))
        with torch.autocast(device, enabled=False):
            return function(
                *map(_widened, args), **{k: _widened(v) for k, v in kwargs.items()}
            )

    return call
