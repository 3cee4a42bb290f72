"""The registry of mel renderers: what ``vocoder_conf.renderer`` of a YAML can name."""

from collections.abc import Mapping

from espnet2.train.class_choices import ClassChoices

from espnet2_taste.data.log_mel import LogMel
from espnet2_taste.vocoder.abs_renderer import AbsRenderer
from espnet2_taste.vocoder.griffin_lim import GriffinLim
from espnet2_taste.vocoder.parallel_wavegan import ParallelWaveGAN
from espnet2_taste.vocoder.vocos import Vocos

renderer_choices = ClassChoices(
    "renderer",
    classes=dict(griffin_lim=GriffinLim, parallel_wavegan=ParallelWaveGAN, vocos=Vocos),
    type_check=AbsRenderer,
    default="griffin_lim",
)


def build_renderer(name: str, mel: LogMel, conf: Mapping | None = None) -> AbsRenderer:
    """Build a renderer.

    Args:
        name: In ``renderer_choices``.
        mel: The front end that the log-mel comes from.
        conf: Its options.

    Returns:
        The renderer, without gradients.

    Raises:
        ValueError: There is no such renderer, or it was trained on another mel.
    """
    if name not in renderer_choices.classes:
        raise ValueError(
            f"vocoder_conf.renderer is '{name}', expected one of "
            f"{sorted(renderer_choices.classes)}"
        )
    renderer = renderer_choices.get_class(name)(mel, **(conf or {}))
    return renderer.requires_grad_(False)
