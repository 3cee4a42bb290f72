"""Weights of trained networks in fewer bytes, for inference.

Enters: a network in evaluation mode and the name of a type. Leaves: the same network
with its weights in that type. One row at a time, a network costs what reading its
weights costs: half of the bytes in bfloat16, a quarter in int8.
"""

import warnings

import torch
from torch import nn

WEIGHT_TYPES = ("float32", "bfloat16", "int8")


def convert_weights(network: nn.Module, name: str | None) -> None:
    """Change the type of the weights, in place.

    In int8 only linear layers change: each output of a layer has a scale of its own,
    rows are rounded by their largest value when they arrive, and float32 enters and
    leaves (PyTorch's dynamic quantization).

    Args:
        network: Any network; in bfloat16 it takes and gives bfloat16.
        name: One of ``WEIGHT_TYPES``; None keeps what is there.

    Raises:
        ValueError: An unknown type, or one that the device or the network lacks.
    """
    if name is None:
        return
    if name not in WEIGHT_TYPES:
        raise ValueError(f"dtype is '{name}', expected one of {list(WEIGHT_TYPES)}")
    if getattr(network, "is_loaded_in_4bit", False):
        raise ValueError(f"dtype {name}: the weights are kept in 4 bits, leave it out")
    if name == "int8":
        if next(network.parameters()).device.type != "cpu":
            raise ValueError("dtype int8 is for CPUs: on a GPU choose bfloat16")
        _quantize(network.float())
    else:
        network.to(getattr(torch, name))


def _quantize(network: nn.Module) -> None:
    """Replace linear layers by quantized ones."""
    from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic

    layers = {nn.Linear: per_channel_dynamic_qconfig}
    with warnings.catch_warnings():  # torchao, named there, takes twice float32's time
        warnings.simplefilter("ignore", DeprecationWarning)
        quantize_dynamic(network, layers, dtype=torch.qint8, inplace=True)
