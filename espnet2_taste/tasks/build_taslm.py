"""Build the spoken LM that options describe, and what prepares its data.

Enters: options of ``TaslmTask``. Leaves: the model and the preprocessor of text and
codes. Inference needs this and not the task, whose base class imports all of ESPnet's
training.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch

from espnet2_taste.data.files import read_yaml
from espnet2_taste.espnet_taslm_model import ESPnetTaslmModel
from espnet2_taste.experiment_files import load_weights
from espnet2_taste.slm.taslm import Taslm
from espnet2_taste.tasks import fitting
from espnet2_taste.tasks.arguments import word_options
from espnet2_taste.tasks.backbones import build_backbone, log_parameters
from espnet2_taste.tasks.choices import quantizer_choices
from espnet2_taste.tasks.parts import build_part
from espnet2_taste.tasks.slm_choices import (
    code_embedding_choices,
    head_choices,
    input_fusion_choices,
    layout_choices,
)
from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer
from espnet2_taste.text.preprocessor import TaslmPreprocessor
from espnet2_taste.tokenizer.quantizers.abs_quantizer import AbsQuantizer
from espnet2_taste.tokenizer.quantizers.continuous import ContinuousQuantizer

QUANTIZER_PREFIX = "tokenizer.quantizer."
DATA = "train_data_path_and_name_and_type"


def build_taslm(args: argparse.Namespace) -> ESPnetTaslmModel:
    """Build the model; the options then hold all that rebuilding it needs.

    Args:
        args: Options of the task.

    Returns:
        The training model.

    Raises:
        ValueError: Parts are missing or do not fit each other.
    """
    quantizer = _quantizer(args)
    fitting.check_codes(getattr(args, DATA, ()), quantizer)
    tokenizer = HuggingFaceTokenizer(args.tokenizer_path)
    backbone = build_backbone(args, tokenizer)
    size = backbone.hidden_size
    taslm = Taslm(
        backbone=backbone,
        quantizer=quantizer,
        layout=build_part(layout_choices, args),
        code_embedding=build_part(code_embedding_choices, args, quantizer),
        input_fusion=build_part(input_fusion_choices, args, size, quantizer.dim),
        head=build_part(head_choices, args, size, backbone.num_states, quantizer),
        bos_id=tokenizer.special_id("bos"),
        eos_id=tokenizer.special_id("eos"),
    )
    model = ESPnetTaslmModel(taslm, **args.model_conf)
    log_parameters(model)
    return model


def build_taslm_preprocessor(args: argparse.Namespace) -> TaslmPreprocessor:
    """What tokenises text word by word and checks codes against words.

    Args:
        args: Options of the task.

    Returns:
        The preprocessor.
    """
    return TaslmPreprocessor(args.tokenizer_path, **word_options(args))


def _quantizer(args: argparse.Namespace) -> AbsQuantizer:
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
