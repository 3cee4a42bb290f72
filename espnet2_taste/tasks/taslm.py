"""Task of the spoken language model: text and TASTE codes -> a trained TASLM.

Enters, per utterance: ``text`` (text) and ``codes`` (kaldi_ark, one row a word); once:
a Hugging Face causal LM and a trained TASTE experiment, of which only the quantizer is
used. Leaves: an ESPnet experiment directory whose checkpoints hold what was trained
and the quantizer, but not the frozen text LM.
"""

import argparse
from collections.abc import Callable

from espnet2.tasks.abs_task import AbsTask
from espnet2.train.collate_fn import CommonCollateFn
from espnet2.utils.get_default_kwargs import get_default_kwargs
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str_or_none

from espnet2_taste.espnet_taslm_model import ESPnetTaslmModel
from espnet2_taste.slm.layouts.text_aligned import IGNORE
from espnet2_taste.tasks.arguments import add_causal_lm_arguments, add_word_arguments
from espnet2_taste.tasks.build_taslm import build_taslm, build_taslm_preprocessor
from espnet2_taste.tasks.choices import quantizer_choices
from espnet2_taste.tasks.parts import build_model
from espnet2_taste.tasks.slm_choices import (
    adaptation_choices,
    code_embedding_choices,
    head_choices,
    input_fusion_choices,
    layout_choices,
)
from espnet2_taste.tasks.trainers import WholeFileTrainer


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
    trainer = WholeFileTrainer

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
        return build_taslm_preprocessor(args)

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
        """See :func:`build_taslm`."""
        return build_model(build_taslm, args)
