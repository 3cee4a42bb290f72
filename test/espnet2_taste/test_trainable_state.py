"""Checkpoints leave frozen parts out and are checked name by name."""

import pytest
import torch
from torch import nn

from espnet2_taste.trainable_state import TrainableState


class Model(TrainableState):
    frozen_prefixes = ("encoder.",)

    def __init__(self):
        super().__init__()
        self.encoder, self.head = nn.Linear(2, 2), nn.Linear(2, 2)


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Model()


def test_state_holds_what_trains():
    assert set(Model().state_dict()) == {"head.weight", "head.bias"}
    assert set(Outer().state_dict()) == {"inner.head.weight", "inner.head.bias"}


def test_round_trip_keeps_the_frozen_part():
    source, target = Model(), Model()
    frozen = target.encoder.weight.clone()
    target.load_state_dict(source.state_dict())
    assert torch.equal(target.head.weight, source.head.weight)
    assert torch.equal(target.encoder.weight, frozen)


@pytest.mark.parametrize("strict", [True, False])
def test_other_names_are_refused(strict):
    state = Model().state_dict()
    state["tail.weight"] = state.pop("head.weight")
    with pytest.raises(RuntimeError, match="missing head.weight.*tail.weight"):
        Model().load_state_dict(state, strict=strict)


def test_other_shapes_are_refused():
    state = Model().state_dict()
    state["head.bias"] = torch.zeros(3)
    with pytest.raises(RuntimeError, match="size mismatch"):
        Model().load_state_dict(state)
