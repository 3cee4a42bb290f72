"""Load a trained unit vocoder from its experiment directory.

Enters: a directory with ``config.yaml`` and weights that stage 8 (or an import) wrote.
Leaves: the vocoder in eval mode. Weights are loaded safely and strictly.
"""

from pathlib import Path

from espnet2_taste.experiment_files import config_of, load_model
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
        exp_dir: Experiment directory, e.g. ``exp/unit_vocoder``, or its
            ``config.yaml``.
        device: Where the vocoder is to run.
        model_file: Weights; by default the average of the best epochs, else the best
            epoch, else the latest.

    Returns:
        The vocoder in eval mode.

    Raises:
        RuntimeError: The directory has no config or weights, or they do not fit.
    """
    from espnet2_taste.tasks.build_unit_vocoder import build_unit_vocoder

    config = config_of(exp_dir)
    if not config.is_file():
        raise RuntimeError(
            f"no unit vocoder at {exp_dir}: config.yaml is missing; train one with "
            "stage 8"
        )
    weights = Path(model_file) if model_file else find_weights(config.parent)
    model, _ = load_model(build_unit_vocoder, config, weights, device)
    return model.vocoder


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
