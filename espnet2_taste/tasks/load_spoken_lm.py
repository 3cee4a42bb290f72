"""A trained spoken language model of any design from its experiment.

Enters: an experiment directory. Leaves: the model with the data side that it was
trained with.
"""

from pathlib import Path
from typing import Any

from espnet2_taste.espnet_spoken_lm_model import ESPnetSpokenLMModel
from espnet2_taste.experiment_files import (
    MODEL_FILE,
    config_of,
    load_model,
    read_config,
    trained_files,
)
from espnet2_taste.tasks.build_spoken_lm import (
    build_preprocessor,
    build_spoken_lm,
    complete_options,
)


def load_spoken_lm(
    exp: str | Path, model_file: str | Path | None = None, device: str = "cpu"
) -> tuple[ESPnetSpokenLMModel, Any]:
    """Load a trained spoken LM with the data side that it was trained with.

    Args:
        exp: Experiment directory, or its ``config.yaml``.
        model_file: Checkpoint; ``valid.loss.best.pth`` of the directory by default.
        device: Where the model goes.

    Returns:
        The model in evaluation mode, and its preprocessor.

    Raises:
        ValueError: A file is missing.
    """
    remedy = (
        "train the spoken language model first (stage 11 or 16), or name another "
        "experiment or model file"
    )
    config, path = trained_files(exp, model_file, MODEL_FILE, remedy)
    model, args = load_model(build_spoken_lm, config, path, device)
    return model, build_preprocessor(args, False)


def build_untrained(
    config: str | Path, lm: str, device: str = "cpu"
) -> tuple[ESPnetSpokenLMModel, Any]:
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
    given = read_config(config_of(config))
    args = complete_options({**given, "tokenizer_path": lm, "init_lm": lm})
    if args.adaptation != "frozen" or args.layout != "text":
        raise ValueError(
            f"{config} trains its layout '{args.layout}': give the experiment instead "
            "of the YAML"
        )
    model = build_spoken_lm(args).to(device).eval()
    return model, build_preprocessor(args, False)
