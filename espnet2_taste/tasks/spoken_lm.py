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

from espnet2_taste.espnet_spoken_lm_model import ESPnetSpokenLMModel
from espnet2_taste.slm.grid_data import FIELDS
from espnet2_taste.tasks.abs_task import TableTask
from espnet2_taste.tasks.build_spoken_lm import (
    FAMILIES,
    add_spoken_lm_arguments,
    build_preprocessor,
    build_spoken_lm,
)
from espnet2_taste.tasks.parts import build_model


class SpokenLMTask(TableTask):
    """Trains a spoken language model with ESPnet's trainer."""

    class_choices_list = list(FAMILIES)
    optional = (*(name for name in FIELDS if name != "text"), "turn_words")

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add the options of this task."""
        group = parser.add_argument_group("Task related")
        add_spoken_lm_arguments(group)
        parser.get_default("required").append("tokenizer_path")

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """See :func:`build_preprocessor`."""
        return build_preprocessor(args, train)

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetSpokenLMModel:
        """See :func:`build_spoken_lm`."""
        return build_model(build_spoken_lm, args)
