"""Task of the spoken language model: text and TASTE codes -> a trained TASLM.

Enters, per utterance: ``text`` (text) and ``codes`` (kaldi_ark, one row a word); once:
a Hugging Face causal LM and a trained TASTE experiment, of which only the quantizer is
used. Leaves: an ESPnet experiment directory whose checkpoints hold what was trained
and the quantizer, but not the frozen text LM.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
import yaml
from espnet2.tasks.abs_task import AbsTask
from espnet2.train.collate_fn import CommonCollateFn
from espnet2.train.trainer import Trainer
from espnet2.utils.get_default_kwargs import get_default_kwargs
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str_or_none

from espnet2_taste.espnet_taslm_model import ESPnetTaslmModel
from espnet2_taste.slm.layouts.text_aligned import IGNORE
from espnet2_taste.slm.taslm import Taslm
from espnet2_taste.tasks import fitting
from espnet2_taste.tasks.arguments import (
    add_causal_lm_arguments,
    add_word_arguments,
    word_options,
)
from espnet2_taste.tasks.backbones import build_backbone, log_parameters
from espnet2_taste.tasks.choices import quantizer_choices
from espnet2_taste.tasks.parts import build_part
from espnet2_taste.tasks.slm_choices import (
    adaptation_choices,
    code_embedding_choices,
    head_choices,
    input_fusion_choices,
    layout_choices,
)
from espnet2_taste.text.preprocessor import TaslmPreprocessor
from espnet2_taste.text.tokenizers import HuggingFaceTokenizer
from espnet2_taste.tokenizer.quantizers.abs_quantizer import AbsQuantizer
from espnet2_taste.tokenizer.quantizers.continuous import ContinuousQuantizer

QUANTIZER_PREFIX = "tokenizer.quantizer."
DATA = "train_data_path_and_name_and_type"


class TaslmTask(AbsTask):
    """Trains the spoken language model with ESPnet's trainer."""

    num_optimizers = 1
    class_choices_list = [
        adaptation_choices,
        layout_choices,
        code_embedding_choices,
        input_fusion_choices,
        head_choices,
        quantizer_choices,
    ]
    trainer = Trainer

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add the options of this task."""
        group = parser.add_argument_group("Task related")
        add_causal_lm_arguments(group)
        add_word_arguments(group)
        group.add_argument(
            "--taste_exp",
            type=str_or_none,
            default=None,
            help="Experiment directory of the TASTE tokenizer that wrote the codes; "
            "sets quantizer and quantizer_conf",
        )
        group.add_argument(
            "--taste_model_file",
            type=str,
            default="valid.loss.best.pth",
            help="Checkpoint in --taste_exp",
        )
        for choices in cls.class_choices_list:
            choices.add_arguments(group)
        group.add_argument(
            "--model_conf",
            action=NestedDictAction,
            default=get_default_kwargs(ESPnetTaslmModel),
            help="Keyword arguments of the training model",
        )
        parser.get_default("required").append("tokenizer_path")

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """Pad ids and codes with -1."""
        return CommonCollateFn(int_pad_value=IGNORE)

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """Tokenise word by word and check codes against words."""
        return TaslmPreprocessor(args.tokenizer_path, **word_options(args))

    @classmethod
    def required_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Name the data that must be given."""
        return ("text", "codes")

    @classmethod
    def optional_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Name the data that may be given."""
        return ()

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetTaslmModel:
        """Build the model; the options then hold all that rebuilding it needs.

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


def load_quantizer(
    taste_exp: str | Path, model_file: str = "valid.loss.best.pth"
) -> AbsQuantizer:
    """Load the quantizer of a trained TASTE tokenizer and nothing else of it.

    Args:
        taste_exp: Experiment directory.
        model_file: Checkpoint in it.

    Returns:
        The quantizer in evaluation mode.

    Raises:
        ValueError: Not such an experiment, or the checkpoint has no quantizer.
    """
    name, conf, state = read_quantizer(taste_exp, model_file)
    quantizer = quantizer_choices.get_class(name)(**conf)
    quantizer.load_state_dict(state)
    return quantizer.eval()


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
    options = yaml.safe_load(config.read_text(encoding="utf-8"))
    _check_codes_exist(options, config)
    state = torch.load(weights, map_location="cpu", weights_only=True)
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
