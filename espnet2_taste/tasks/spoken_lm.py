"""Task of every spoken language model: TASLM and the designs it is compared with.

Enters, per utterance: ``text`` (text) and, as the layout needs, ``codes`` (one row a
word), ``units``, ``word_times``, ``pitch`` and ``style`` (kaldi_ark all), and
``turn_words`` (text_int), how many of the words are a turn that the others answer;
once: a Hugging Face causal LM and, for TASLM, a trained TASTE experiment, of which only
the quantizer is used. Leaves: an ESPnet experiment directory whose checkpoints hold
what was trained and the quantizer, but not the frozen text LM.
"""

import argparse
from collections.abc import Callable

from espnet2.tasks.abs_task import AbsTask
from espnet2.train.collate_fn import CommonCollateFn

from espnet2_taste.espnet_spoken_lm_model import ESPnetSpokenLMModel
from espnet2_taste.slm.grid_data import FIELDS
from espnet2_taste.slm.layouts.text_aligned import IGNORE
from espnet2_taste.tasks.build_spoken_lm import (
    FAMILIES,
    add_spoken_lm_arguments,
    build_preprocessor,
    build_spoken_lm,
)
from espnet2_taste.tasks.parts import build_model
from espnet2_taste.tasks.plain_tables import PlainTables
from espnet2_taste.tasks.trainers import WholeFileTrainer

REQUIRED = ("text",)
TURN_WORDS = "turn_words"


class SpokenLMTask(PlainTables, AbsTask):
    """Trains a spoken language model with ESPnet's trainer."""

    num_optimizers = 1
    class_choices_list = list(FAMILIES)
    trainer = WholeFileTrainer

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add the options of this task."""
        group = parser.add_argument_group("Task related")
        add_spoken_lm_arguments(group)
        parser.get_default("required").append("tokenizer_path")

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """Pad ids and codes with -1 and weights with 0."""
        return CommonCollateFn(float_pad_value=0.0, int_pad_value=IGNORE)

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """See :func:`build_preprocessor`."""
        return build_preprocessor(args, train)

    @classmethod
    def required_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Name the data that must be given."""
        return REQUIRED

    @classmethod
    def optional_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Name the data that may be given; a layout says which of them it needs."""
        return (*(name for name in FIELDS if name not in REQUIRED), TURN_WORDS)

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetSpokenLMModel:
        """See :func:`build_spoken_lm`."""
        return build_model(build_spoken_lm, args)
