"""Fields of dataclasses as options of commands."""

import argparse
from dataclasses import dataclass, fields

import pytest

from espnet2_taste.inference.sampling_options import (
    UnitSampling,
    add_unit_sampling_arguments,
)
from espnet2_taste.option_fields import add_field_options, field_help
from espnet2_taste.slm.limits import Limits
from espnet2_taste.slm.sampling import GenerationOptions


@dataclass
class Shape:
    """Of a thing.

    Attributes:
        width: In metres; 50 % of them
            count twice.
        round: Whether it has no corners.
        color: Of its surface.
        corners: If it has any.

    Raises:
        ValueError: never: this is no field.
    """

    width: float = 1.0
    round: bool = True
    color: str | None = None
    corners: int | None = None


def test_options_have_types_defaults_and_words_of_the_fields():
    parser = argparse.ArgumentParser()
    add_field_options(parser, Shape, {"width": "size"}, ["color"])
    defaults = {"size": 1.0, "round": True, "corners": None}
    assert vars(parser.parse_args([])) == defaults
    given = parser.parse_args(["--size", "2", "--round", "false", "--corners", "4"])
    assert vars(given) == {"size": 2.0, "round": False, "corners": 4}
    shown = " ".join(parser.format_help().split())
    assert "In metres; 50 % of them count twice" in shown and "--color" not in shown
    assert set(field_help(Shape)) == {"width", "round", "color", "corners"}


@pytest.mark.parametrize("class_", [UnitSampling, Limits, GenerationOptions])
def test_every_field_of_options_is_described(class_):
    assert set(field_help(class_)) == {field.name for field in fields(class_)}


def test_units_are_drawn_as_the_options_say():
    parser = argparse.ArgumentParser()
    add_unit_sampling_arguments(parser)
    given = vars(parser.parse_args(["--unit_top_k", "3", "--use_prosody", "false"]))
    made = UnitSampling.from_options(given | {"seed": 7, "top_k": 9})
    assert made == UnitSampling(top_k=3, use_prosody=False, seed=7)
