"""Build the unit vocoder that options describe.

Enters: options of ``UnitVocoderTask``. Leaves: the training model with the vocoder.
Inference needs this and not the task, whose base class imports all of ESPnet's
training.
"""

import argparse

from espnet2.train.class_choices import ClassChoices

from espnet2_taste.espnet_unit_vocoder_model import ESPnetUnitVocoderModel
from espnet2_taste.tasks import fitting
from espnet2_taste.tasks.parts import build_part
from espnet2_taste.vocoder.abs_vocoder import AbsUnitVocoder
from espnet2_taste.vocoder.flow_vocoder import FlowHiFT, FlowVocoder
from espnet2_taste.vocoder.unit_hifigan import UnitHiFiGAN
from espnet2_taste.vocoder.unit_to_mel_vocoder import (
    UnitToMelGriffinLim,
    UnitToMelVocoder,
)

vocoder_choices = ClassChoices(
    "vocoder",
    classes=dict(
        unit_to_mel_griffin_lim=UnitToMelGriffinLim,
        unit_to_mel=UnitToMelVocoder,
        flow=FlowVocoder,
        flow_hift=FlowHiFT,
        unit_hifigan=UnitHiFiGAN,
    ),
    type_check=AbsUnitVocoder,
    default="unit_to_mel_griffin_lim",
)


def build_unit_vocoder(
    args: argparse.Namespace,
    model_class: type[ESPnetUnitVocoderModel] = ESPnetUnitVocoderModel,
) -> ESPnetUnitVocoderModel:
    """Build the vocoder that the options describe.

    Args:
        args: Options of the task.
        model_class: The training model it goes into.

    Returns:
        The training model.

    Raises:
        ValueError: An option does not fit the vocoder or the units.
    """
    sizes = ("num_units", "spembs_size", "unit_rate")
    fitting.fill_unit_sizes(args, "vocoder_conf", sizes)
    vocoder = build_part(vocoder_choices, args)
    return model_class(vocoder=vocoder, **args.model_conf)
