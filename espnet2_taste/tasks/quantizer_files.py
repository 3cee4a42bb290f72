"""The quantizer whose codes TASLM reads, from the experiment that wrote them.

Enters: options with ``taste_exp``. Leaves: the quantizer; the options then hold all
that rebuilding it needs.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch

from espnet2_taste.data.files import read_yaml
from espnet2_taste.experiment_files import load_weights
from espnet2_taste.tasks.choices import quantizer_choices
from espnet2_taste.tasks.parts import build_part
from espnet2_taste.tokenizer.quantizers.abs_quantizer import AbsQuantizer
from espnet2_taste.tokenizer.quantizers.continuous import ContinuousQuantizer

QUANTIZER_PREFIX = "tokenizer.quantizer."


def build_quantizer(args: argparse.Namespace) -> AbsQuantizer:
    """Load the quantizer from the TASTE experiment, or build it for a checkpoint."""
    if args.taste_exp is None:
        if "dim" not in args.quantizer_conf:
            raise ValueError(
                "the quantizer is unknown: give --taste_exp, the experiment directory "
                "of the TASTE tokenizer that wrote the codes"
            )
        return build_part(quantizer_choices, args)
    name, conf, state = read_quantizer(args.taste_exp, args.taste_model_file)
    args.quantizer, args.quantizer_conf, args.taste_exp = name, conf, None
    quantizer = build_part(quantizer_choices, args)
    quantizer.load_state_dict(state)
    return quantizer


def read_quantizer(
    taste_exp: str | Path, model_file: str = "valid.loss.best.pth"
) -> tuple[str, dict, dict[str, torch.Tensor]]:
    """Read what makes up the quantizer of a TASTE experiment.

    Args:
        taste_exp: Experiment directory with ``config.yaml``.
        model_file: Checkpoint in it.

    Returns:
        Name of the quantizer, its keyword arguments with ``dim``, its state dict.

    Raises:
        ValueError: Files are missing, or the checkpoint has no quantizer.
    """
    config, weights = Path(taste_exp) / "config.yaml", Path(taste_exp) / model_file
    for path in (config, weights):
        if not path.is_file():
            raise ValueError(
                f"taste_exp '{taste_exp}' has no {path.name}: give the directory of a "
                "trained TASTE tokenizer (stage 7)"
            )
    options = read_yaml(config)
    _check_codes_exist(options, config)
    state = load_weights(weights, mmap=True)
    own = {
        name[len(QUANTIZER_PREFIX) :]: tensor
        for name, tensor in state.items()
        if name.startswith(QUANTIZER_PREFIX)
    }
    if "project_out.weight" not in own:
        raise ValueError(
            f"'{weights}' holds no quantizer (no {QUANTIZER_PREFIX}project_out.weight)"
        )
    dim = own["project_out.weight"].size(0)
    return options["quantizer"], {**options["quantizer_conf"], "dim": dim}, own


def _check_codes_exist(options: Mapping, config: Path) -> None:
    """Refuse a TASTE experiment without codes."""
    quantizer = quantizer_choices.get_class(options["quantizer"])
    trained = options.get("model_conf", {}).get("quantize", True)
    if not trained or quantizer is ContinuousQuantizer:
        raise ValueError(
            f"{config} is of a training without codes (quantizer "
            f"{options['quantizer']}, quantize {trained}): give --taste_exp the "
            "experiment of the step with 'quantize: true' and quantizer rvq or fsq"
        )
