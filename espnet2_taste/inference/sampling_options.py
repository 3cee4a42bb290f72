"""Command-line options of unit generation, the same for every command that speaks.

Enters: an argument parser; later the parsed options, or those of a YAML file. Leaves:
``UnitSampling``, which builds the generator. The defaults are the published ones, which
suit 50 units a second and much data.
"""

import argparse
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Any

from espnet2_taste.option_fields import add_field_options, from_options

UNIT_DTYPES = ("float32", "int8")
NAMES = {"top_k": "unit_top_k", "temperature": "unit_temperature"}
"""Options of commands that are not called as the field of ``UnitSampling``."""


@dataclass(frozen=True)
class UnitSampling:
    """How units are drawn from the unit decoder.

    Attributes:
        top_k: Each unit is drawn from so many likeliest ones.
        temperature: Of drawing units: 0 takes the likeliest, below 1 favours likely
            ones.
        min_unit_ratio: Fewest units a text token.
        max_unit_ratio: Most units a text token.
        seed: With the utterance's name, all the randomness.
        read_ahead: Words after the one being said that the guided head may look at,
            for models trained with alignment_weight; 0 is all of them.
        duration_temperature: Of drawing durations of words, for models that predict
            them: 0 takes their centre.
        tempo: Factor of the speed, 2 is twice, for models that predict durations.
        use_prosody: Give the vocoder the pitch and loudness that the model predicts, if
            it does; false for vocoders that take none.
        exact_times: Give words the durations that the model predicts, not whole units:
            for decoders that predict durations and unit-to-mel vocoders.
        unit_mixing: Let the vocoder mix its vectors of the units by their probabilities
            at this temperature, in place of the vector of the drawn unit, for aligned
            unit decoders; 0 mixes nothing.
        unit_dtype: Weights of the unit decoder: float32, or int8, which takes less time
            on CPUs.

    Raises:
        ValueError: Another type of weights.
    """

    top_k: int = 25
    temperature: float = 1.0
    min_unit_ratio: float = 2.0
    max_unit_ratio: float = 20.0
    seed: int = 0
    read_ahead: int = 0
    duration_temperature: float = 0.0
    tempo: float = 1.0
    use_prosody: bool = True
    exact_times: bool = False
    unit_mixing: float = 0.0
    unit_dtype: str = "float32"

    def __post_init__(self):
        if self.unit_dtype not in UNIT_DTYPES:
            raise ValueError(
                f"unit_dtype is '{self.unit_dtype}', expected one of {UNIT_DTYPES}"
            )

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> "UnitSampling":
        """Take the fields from options of a command; what is missing is the default.

        Args:
            options: By name; those that mean something else are left out.
        """
        return from_options(cls, options, NAMES)

    def generator(self, encoder):
        """Build what draws units.

        Args:
            encoder: A ``TasteEncoder``.

        Returns:
            A ``UnitGenerator``.

        Raises:
            ValueError: A value is out of range, or the unit decoder mixes no units.
        """
        from espnet2_taste.inference.resynthesis import UnitGenerator
        from espnet2_taste.speech_decoder.abs_unit_decoder import UnitSettings
        from espnet2_taste.speech_decoder.reading_window import ReadingWindow
        from espnet2_taste.speech_decoder.unit_sampling import LengthRule, unit_sampler
        from espnet2_taste.weight_types import convert_weights

        settings = UnitSettings(
            sampler=unit_sampler(self.top_k, self.temperature),
            length_rule=LengthRule(self.min_unit_ratio, self.max_unit_ratio),
            window=ReadingWindow(ahead=self.read_ahead) if self.read_ahead else None,
            duration_temperature=self.duration_temperature,
            tempo=self.tempo,
            use_prosody=self.use_prosody,
            exact_times=self.exact_times,
            mixing=self.unit_mixing,
        )
        own, decoder = encoder.model.unit_decoder, None
        if self.unit_mixing > 0 and not own.mixes_units:
            raise ValueError(
                f"unit_mixing is {self.unit_mixing:g}, but unit decoder "
                f"{type(own).__name__} mixes no units: set it to 0, or train one of "
                "unit_decoder: aligned"
            )
        if self.unit_dtype != "float32":
            decoder = deepcopy(own)
            convert_weights(decoder, self.unit_dtype)
        return UnitGenerator(encoder, settings, self.seed, decoder=decoder)


def add_unit_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how units are drawn and how many there may be; not the seed."""
    add_field_options(parser, UnitSampling, NAMES, ["seed"])


def unit_sampling_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The options by name, to be printed beside results."""
    names = (NAMES.get(field.name, field.name) for field in fields(UnitSampling))
    return {name: getattr(args, name) for name in names if name != "seed"}
