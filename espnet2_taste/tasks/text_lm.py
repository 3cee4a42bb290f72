"""Task of the text backbone: a Hugging Face causal LM on the recipe's text.

Enters: ``text`` (one sentence an utterance). Leaves: an ESPnet experiment directory,
which ``exports text_lm`` turns into a Hugging Face directory.
"""

import argparse
from collections.abc import Callable

from espnet2.tasks.abs_task import AbsTask
from espnet2.train.collate_fn import CommonCollateFn
from espnet2.utils.nested_dict_action import NestedDictAction

from espnet2_taste.espnet_text_lm_model import IGNORE, ESPnetTextLmModel
from espnet2_taste.tasks.arguments import (
    add_causal_lm_arguments,
    add_word_arguments,
    word_options,
)
from espnet2_taste.tasks.build_text_lm import COLLECT, build_text_lm
from espnet2_taste.tasks.parts import build_model
from espnet2_taste.tasks.plain_tables import PlainTables
from espnet2_taste.tasks.trainers import WholeFileTrainer
from espnet2_taste.text.preprocessor import TaslmPreprocessor


class TextLmTask(PlainTables, AbsTask):
    """Trains the language model that the spoken one starts from."""

    num_optimizers = 1
    class_choices_list = ()
    trainer = WholeFileTrainer

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add the options of this task."""
        group = parser.add_argument_group("Task related")
        add_causal_lm_arguments(group)
        add_word_arguments(group)
        group.add_argument(
            "--model_conf",
            action=NestedDictAction,
            default={COLLECT: False},
            help="Options of the ESPnet model; statistics are collected without it",
        )
        parser.get_default("required").append("tokenizer_path")

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """Pad token ids with -1."""
        return CommonCollateFn(int_pad_value=IGNORE)

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """Tokenise sentences word by word, as the spoken language model does."""
        return TaslmPreprocessor(args.tokenizer_path, **word_options(args))

    @classmethod
    def required_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Name the data that must be given."""
        return ("text",)

    @classmethod
    def optional_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Name the data that may be given."""
        return ()

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetTextLmModel:
        """See :func:`build_text_lm`."""
        return build_model(build_text_lm, args)
