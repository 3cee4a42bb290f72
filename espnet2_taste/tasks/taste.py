"""Task of the TASTE tokenizer: speech, text, units and speakers -> a trained tokenizer.

Enters, per utterance: ``speech`` (sound), ``text`` (text), ``units`` (kaldi_ark) and
``spembs`` (kaldi_ark), optionally ``word_times`` (kaldi_ark). Leaves: an ESPnet
experiment directory whose checkpoints hold everything but the frozen speech encoder.
"""

import argparse
from collections.abc import Callable

from espnet2.utils.get_default_kwargs import get_default_kwargs
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str2bool, str_or_none

from espnet2_taste.espnet_taste_model import ESPnetTasteModel
from espnet2_taste.recognizers.options import add_recognizer_arguments
from espnet2_taste.tasks.abs_task import TableTask
from espnet2_taste.tasks.arguments import (
    add_text_tokenizer_arguments,
    add_units_dir_argument,
)
from espnet2_taste.tasks.build_taste import build_taste, build_taste_preprocessor
from espnet2_taste.tasks.choices import (
    aggregator_choices,
    fusion_choices,
    quantizer_choices,
    speech_encoder_choices,
    states_source_choices,
    text_input_choices,
    unit_decoder_choices,
    unit_history_choices,
    word_timer_choices,
)
from espnet2_taste.tasks.parts import build_model


class TasteTask(TableTask):
    """Trains encoder-aggregator-quantizer and unit decoder with ESPnet's trainer."""

    class_choices_list = [
        speech_encoder_choices,
        states_source_choices,
        word_timer_choices,
        aggregator_choices,
        quantizer_choices,
        fusion_choices,
        text_input_choices,
        unit_history_choices,
        unit_decoder_choices,
    ]
    required = ("speech", "text", "units", "spembs")
    needed = ("speech", "text")
    optional = ("word_times", "pitch")
    not_sequence = ("spembs", "word_times")

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add the options of this task."""
        group = parser.add_argument_group("Task related")
        add_text_tokenizer_arguments(group)
        add_recognizer_arguments(group)
        for choices in cls.class_choices_list:
            choices.add_arguments(group)
        add_units_dir_argument(group)
        group.add_argument(
            "--letter_models",
            type=str_or_none,
            default=None,
            help="From recognize letters; read where word_timer is letters, and kept "
            "in the checkpoints from then on",
        )
        group.add_argument("--fs", type=int, default=16000, help="Rate of the data, Hz")
        group.add_argument(
            "--init_aggregator",
            type=str2bool,
            default=True,
            help="Start the aggregator from the text decoder trained with the encoder",
        )
        group.add_argument(
            "--init_embeddings",
            type=str2bool,
            default=True,
            help="Take that decoder's token embeddings too; false when the text side "
            "has another vocabulary, e.g. the language model's own",
        )
        group.add_argument(
            "--project_without_codes",
            type=str2bool,
            default=False,
            help="Without codes, still pass the quantizer's projections",
        )
        group.add_argument(
            "--model_conf",
            action=NestedDictAction,
            default=get_default_kwargs(ESPnetTasteModel),
            help="Keyword arguments of the training model",
        )

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """Tokenise word by word; units must be ones the decoder knows."""
        return build_taste_preprocessor(args)

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetTasteModel:
        """See :func:`build_taste`."""
        return build_model(build_taste, args)
