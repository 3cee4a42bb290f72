"""Load a trained unit vocoder from its experiment directory.

Enters: a directory with ``config.yaml`` and weights that stage 8 (or an import) wrote.
Leaves: the vocoder in eval mode. Weights are loaded safely and strictly.
"""

import argparse
from pathlib import Path

import torch
import yaml

from espnet2_taste.vocoder.abs_vocoder import AbsUnitVocoder

PREFERRED_WEIGHTS = (
    "valid.loss.ave.pth",
    "valid.loss.best.pth",
    "latest.pth",
)


def load_unit_vocoder(
    exp_dir: str | Path, device: str = "cpu", model_file: str | Path | None = None
) -> AbsUnitVocoder:
    """Load a vocoder for synthesis.

    Args:
        exp_dir: Experiment directory, e.g. ``exp/unit_vocoder``.
        device: Where the vocoder is to run.
        model_file: Weights; by default the average of the best epochs, else the best
            epoch, else the latest.

    Returns:
        The vocoder in eval mode.

    Raises:
        RuntimeError: The directory has no config or weights, or they do not fit.
    """
    from espnet2_taste.tasks.unit_vocoder import UnitVocoderTask

    exp_dir = Path(exp_dir)
    config = exp_dir / "config.yaml"
    if not config.is_file():
        raise RuntimeError(
            f"no unit vocoder at {exp_dir}: config.yaml is missing; train one with "
            "stage 8"
        )
    weights = Path(model_file) if model_file else find_weights(exp_dir)
    args = argparse.Namespace(**yaml.safe_load(config.read_text(encoding="utf-8")))
    model = UnitVocoderTask.build_model(args)
    state = torch.load(weights, map_location="cpu", weights_only=True)
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise RuntimeError(
            f"the weights {weights} do not fit {config}: {error}"
        ) from error
    return model.vocoder.to(device).eval()


def find_weights(exp_dir: Path) -> Path:
    """The best weights file of an experiment.

    Args:
        exp_dir: Experiment directory.

    Returns:
        Path of the file.

    Raises:
        RuntimeError: There is none.
    """
    for name in PREFERRED_WEIGHTS:
        if (exp_dir / name).is_file():
            return exp_dir / name
    raise RuntimeError(
        f"no weights in {exp_dir}: looked for {', '.join(PREFERRED_WEIGHTS)}; train "
        "the vocoder with stage 8 or name a file"
    )
