"""Weights in fewer bytes: what a network gives stays near, or the type is refused."""

import pytest
import torch
from torch import nn

from espnet2_taste.weight_types import convert_weights


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 32)).eval()


@pytest.mark.parametrize(
    "name, near", [(None, 0.0), ("float32", 0.0), ("bfloat16", 0.02), ("int8", 0.03)]
)
def test_outputs_stay_near(name, near):
    wide, narrow, x = network(), network(), torch.randn(3, 64)
    convert_weights(narrow, name)
    with torch.inference_mode():
        found = narrow(x.bfloat16() if name == "bfloat16" else x).float()
        error = (found - wide(x)).norm() / wide(x).norm()
    assert error <= near
    assert (error == 0) == (name in (None, "float32"))


def test_int8_takes_half_precision_as_well():
    wide, narrow, x = network(), network().bfloat16(), torch.randn(3, 64)
    convert_weights(narrow, "int8")
    with torch.inference_mode():
        assert (narrow(x) - wide(x)).norm() < 0.05 * wide(x).norm()


def test_what_cannot_be_had_is_refused():
    with pytest.raises(ValueError, match="dtype is 'int4', expected one of"):
        convert_weights(network(), "int4")
    with pytest.raises(ValueError, match="dtype int8 is for CPUs"):
        convert_weights(network().to("meta"), "int8")
    packed = network()
    packed.is_loaded_in_4bit = True
    with pytest.raises(ValueError, match="kept in 4 bits"):
        convert_weights(packed, "int8")
