"""Task of the grid language model: every design of the comparison but TASLM's heads.

Enters, per utterance: ``text`` (text), ``units`` (text_int) and, as the layout needs,
``word_times`` (text_float), ``pitch`` and ``style`` (text_int), ``codes`` (kaldi_ark);
once: a Hugging Face causal LM. Leaves: an ESPnet experiment directory whose checkpoints
hold what was trained.
"""

import argparse
from collections.abc import Callable

from espnet2.tasks.abs_task import AbsTask
from espnet2.train.collate_fn import CommonCollateFn

from espnet2_taste.espnet_grid_lm_model import ESPnetGridLMModel
from espnet2_taste.slm.grid_data import FIELDS
from espnet2_taste.slm.layouts.text_aligned import IGNORE
from espnet2_taste.tasks.build_grid_lm import (
    FAMILIES,
    add_grid_arguments,
    build_grid_lm,
    build_grid_preprocessor,
)
from espnet2_taste.tasks.parts import build_model
from espnet2_taste.tasks.trainers import WholeFileTrainer

REQUIRED = ("text", "units")


class GridLMTask(AbsTask):
    """Trains a grid language model with ESPnet's trainer."""

    num_optimizers = 1
    class_choices_list = list(FAMILIES)
    trainer = WholeFileTrainer

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add the options of this task."""
        group = parser.add_argument_group("Task related")
        add_grid_arguments(group)
        parser.get_default("required").append("tokenizer_path")

    @classmethod
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """Pad ids with -1 and weights with 0."""
        return CommonCollateFn(float_pad_value=0.0, int_pad_value=IGNORE)

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """Lay utterances out; a layout with chance draws anew in training."""
        return build_grid_preprocessor(args, train)

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
        return tuple(name for name in FIELDS if name not in REQUIRED)

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetGridLMModel:
        """See :func:`build_grid_lm`."""
        return build_model(build_grid_lm, args)
