"""Task of the text backbone: a Hugging Face causal LM on the recipe's text.

Enters: ``text`` (one sentence an utterance). Leaves: an ESPnet experiment directory,
which ``exports text_lm`` turns into a Hugging Face directory.
"""

import argparse
from collections.abc import Callable

from espnet2.utils.nested_dict_action import NestedDictAction

from espnet2_taste.espnet_text_lm_model import ESPnetTextLmModel
from espnet2_taste.tasks.abs_task import TableTask
from espnet2_taste.tasks.arguments import (
    add_causal_lm_arguments,
    add_word_arguments,
    word_options,
)
from espnet2_taste.tasks.build_text_lm import COLLECT, build_text_lm
from espnet2_taste.tasks.parts import build_model
from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer
from espnet2_taste.text.preprocessor import TextPreprocessor


class TextLmTask(TableTask):
    """Trains the language model that the spoken one starts from."""

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
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """Tokenise sentences word by word, as the spoken language model does."""
        tokenizer = HuggingFaceTokenizer(args.tokenizer_path)
        return TextPreprocessor(tokenizer, **word_options(args))

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetTextLmModel:
        """See :func:`build_text_lm`."""
        return build_model(build_text_lm, args)
