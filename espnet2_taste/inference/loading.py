"""Trained models from their experiments.

Enters: an experiment, named by its directory or its ``config.yaml``. Leaves: the model
in evaluation mode, with the data side that it was trained with. Weights are loaded
safely and strictly.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from espnet2_taste.experiment_files import (
    MODEL_FILE,
    config_of,
    load_model,
    read_config,
    trained_files,
)

if TYPE_CHECKING:
    from espnet2_taste.espnet_spoken_lm_model import ESPnetSpokenLMModel
    from espnet2_taste.espnet_taste_model import ESPnetTasteModel
    from espnet2_taste.text.preprocessor import TastePreprocessor
    from espnet2_taste.vocoder.abs_vocoder import AbsUnitVocoder

PREFERRED_WEIGHTS = (
    "valid.loss.ave.pth",
    "valid.loss.best.pth",
    "latest.pth",
)
"""Of a unit vocoder."""
REMEDY = "train the {} first (stage {}), or name another experiment or model file"


def load_taste_exp(
    taste_exp: str | Path, model_file: str | Path | None = None, device: str = "cpu"
) -> "tuple[ESPnetTasteModel, TastePreprocessor]":
    """Load a trained TASTE model.

    Args:
        taste_exp: Experiment directory, or its ``config.yaml``.
        model_file: Checkpoint; ``valid.loss.best.pth`` of the directory by default.
        device: Where the model goes.

    Returns:
        The model, and the preprocessor of transcripts.

    Raises:
        ValueError: A file is missing.
    """
    from espnet2_taste.tasks.build_taste import build_taste, build_taste_preprocessor

    def build(args):
        args.init_aggregator = False  # it is trained
        return build_taste(args)

    remedy = REMEDY.format("TASTE tokenizer", "7")
    config, path = trained_files(taste_exp, model_file, MODEL_FILE, remedy)
    model, args = load_model(build, config, path, device)
    return model, build_taste_preprocessor(args)


def load_spoken_lm(
    exp: str | Path, model_file: str | Path | None = None, device: str = "cpu"
) -> "tuple[ESPnetSpokenLMModel, Any]":
    """Load a trained spoken LM of any design; see :func:`load_taste_exp`."""
    from espnet2_taste.tasks.build_spoken_lm import build_preprocessor, build_spoken_lm

    remedy = REMEDY.format("spoken language model", "11 or 16")
    config, path = trained_files(exp, model_file, MODEL_FILE, remedy)
    model, args = load_model(build_spoken_lm, config, path, device)
    return model, build_preprocessor(args, False, model.core.layout)


def build_untrained(
    config: str | Path, lm: str, device: str = "cpu"
) -> "tuple[ESPnetSpokenLMModel, Any]":
    """Build a design that trains nothing: the cascade's text LM as it is.

    Args:
        config: Its YAML.
        lm: The language model, with its tokenizer.
        device: Where it goes.

    Returns:
        See :func:`load_spoken_lm`.

    Raises:
        ValueError: The design does train something.
    """
    from espnet2_taste.tasks import build_spoken_lm as builder

    given = read_config(config_of(config))
    args = builder.complete_options({**given, "tokenizer_path": lm, "init_lm": lm})
    if args.adaptation != "frozen" or args.layout != "text":
        raise ValueError(
            f"{config} trains its layout '{args.layout}': give the experiment instead "
            "of the YAML"
        )
    model = builder.build_spoken_lm(args).to(device).eval()
    return model, builder.build_preprocessor(args, False, model.core.layout)


def load_unit_vocoder(
    exp_dir: str | Path, device: str = "cpu", model_file: str | Path | None = None
) -> "AbsUnitVocoder":
    """Load a vocoder for synthesis.

    Args:
        exp_dir: Experiment directory, e.g. ``exp/unit_vocoder``, or its
            ``config.yaml``.
        device: Where the vocoder is to run.
        model_file: Weights; by default the average of the best epochs, else the best
            epoch, else the latest.

    Returns:
        The vocoder.

    Raises:
        ValueError: A file is missing.
        RuntimeError: The weights do not fit.
    """
    from espnet2_taste.tasks.build_unit_vocoder import build_unit_vocoder

    default = best_weights(config_of(exp_dir).parent).name
    remedy = REMEDY.format("unit vocoder", "8")
    config, weights = trained_files(exp_dir, model_file, default, remedy)
    return load_model(build_unit_vocoder, config, weights, device)[0].vocoder


def best_weights(exp_dir: Path) -> Path:
    """The best weights file of a unit vocoder's experiment, which need not exist."""
    places = [exp_dir / name for name in PREFERRED_WEIGHTS]
    return next((place for place in places if place.is_file()), places[0])
