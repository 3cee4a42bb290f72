"""Task of the TASTE tokenizer: speech, text, units and speakers -> a trained tokenizer.

Enters, per utterance: ``speech`` (sound), ``text`` (text), ``units`` (text_int) and
``spembs`` (kaldi_ark). Leaves: an ESPnet experiment directory whose checkpoints hold
everything but the frozen speech encoder.
"""

import argparse
import logging
from collections.abc import Callable

from espnet2.tasks.abs_task import AbsTask
from espnet2.train.collate_fn import CommonCollateFn
from espnet2.train.trainer import Trainer
from espnet2.utils.get_default_kwargs import get_default_kwargs
from espnet2.utils.nested_dict_action import NestedDictAction
from espnet2.utils.types import str2bool

from espnet2_taste.espnet_taste_model import IGNORE, ESPnetTasteModel
from espnet2_taste.speech_decoder.unit_decoder import UnitDecoder
from espnet2_taste.tasks.arguments import (
    add_text_tokenizer_arguments,
    text_tokenizer_options,
)
from espnet2_taste.tasks.choices import (
    aggregator_choices,
    fusion_choices,
    quantizer_choices,
    speech_encoder_choices,
    unit_decoder_choices,
)
from espnet2_taste.text.preprocessor import TastePreprocessor
from espnet2_taste.text.tokenizers import AbsTextTokenizer, build_text_tokenizer
from espnet2_taste.tokenizer.aggregator import AbsAggregator
from espnet2_taste.tokenizer.encoders.abs_encoder import AbsSpeechEncoder
from espnet2_taste.tokenizer.taste_tokenizer import TasteTokenizer


class TasteTask(AbsTask):
    """Trains encoder-aggregator-quantizer and unit decoder with ESPnet's trainer."""

    num_optimizers = 1
    class_choices_list = [
        speech_encoder_choices,
        aggregator_choices,
        quantizer_choices,
        fusion_choices,
        unit_decoder_choices,
    ]
    trainer = Trainer

    @classmethod
    def add_task_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add the options of this task."""
        group = parser.add_argument_group("Task related")
        add_text_tokenizer_arguments(group)
        for choices in cls.class_choices_list:
            choices.add_arguments(group)
        group.add_argument("--fs", type=int, default=16000, help="Rate of the data, Hz")
        group.add_argument(
            "--init_aggregator",
            type=str2bool,
            default=True,
            help="Start the aggregator from the text decoder trained with the encoder",
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
    def build_collate_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """Pad ids with -1; speaker embeddings carry no length."""
        return CommonCollateFn(
            float_pad_value=0.0, int_pad_value=IGNORE, not_sequence=["spembs"]
        )

    @classmethod
    def build_preprocess_fn(cls, args: argparse.Namespace, train: bool) -> Callable:
        """Tokenise word by word."""
        return TastePreprocessor(**text_tokenizer_options(args))

    @classmethod
    def required_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Name the data that must be given."""
        return ("speech", "text") + (() if inference else ("units", "spembs"))

    @classmethod
    def optional_data_names(
        cls, train: bool = True, inference: bool = False
    ) -> tuple[str, ...]:
        """Name the data that may be given."""
        return ()

    @classmethod
    def build_model(cls, args: argparse.Namespace) -> ESPnetTasteModel:
        """Build the model; sizes pass from part to part.

        Raises:
            ValueError: Parts do not fit each other or the data.
        """
        if isinstance(args.token_list, str):  # config.yaml then needs no file
            args.token_list = _read_token_list(args.token_list)
        names = ("token_type", "token_list", "bpemodel", "tokenizer_path")
        text = build_text_tokenizer(**{name: getattr(args, name) for name in names})
        encoder = _speech_encoder(args)
        aggregator = _aggregator(args, text, encoder)
        quantizer = quantizer_choices.get_class(args.quantizer)(
            **({"dim": aggregator.output_size} | args.quantizer_conf)
        )
        tokenizer = TasteTokenizer(
            encoder, aggregator, quantizer, args.project_without_codes
        )
        unit_decoder = _unit_decoder(args, text.vocab_size, quantizer.dim)
        return ESPnetTasteModel(tokenizer, unit_decoder, **args.model_conf)


def _read_token_list(path: str) -> list[str]:
    with open(path, encoding="utf-8") as stream:
        return [line.rstrip("\n") for line in stream]


def _speech_encoder(args: argparse.Namespace) -> AbsSpeechEncoder:
    encoder_class = speech_encoder_choices.get_class(args.speech_encoder)
    encoder = encoder_class(**args.speech_encoder_conf)
    if encoder.sample_rate != args.fs:
        raise ValueError(
            f"the speech encoder takes {encoder.sample_rate} Hz, the data have "
            f"{args.fs} Hz: format the audio with --fs {encoder.sample_rate} and set "
            "fs, or choose another speech encoder"
        )
    return encoder


def _aggregator(
    args: argparse.Namespace, text: AbsTextTokenizer, encoder: AbsSpeechEncoder
) -> AbsAggregator:
    aggregator_class = aggregator_choices.get_class(args.aggregator)
    # a trained table may have more rows than its tokenizer has tokens
    conf = {"vocab_size": text.vocab_size}
    conf["prefix"] = aggregator_class.default_prefix(text.vocab_size)
    aggregator = aggregator_class(
        key_size=encoder.key_size,
        value_size=encoder.value_size,
        **(conf | args.aggregator_conf),
    )
    state = encoder.decoder_state() if args.init_aggregator else {}
    if state:
        _check_vocabulary(args, encoder.token_list())
        aggregator.load_decoder_state(state)
        logging.info("the aggregator starts from the speech encoder's text decoder")
    return aggregator


def _check_vocabulary(args: argparse.Namespace, trained: list[str]) -> None:
    """Refuse a decoder whose tokens are others than those of the text side."""
    own = args.token_list
    if trained and own is not None and list(own) != list(trained):
        raise ValueError(
            f"the aggregator's vocabulary ({len(own)} tokens) is not the one of the "
            f"speech encoder's decoder ({len(trained)} tokens): give the token list "
            "the encoder was trained with, or set init_aggregator to false"
        )


def _unit_decoder(
    args: argparse.Namespace, vocab_size: int, taste_size: int
) -> UnitDecoder:
    conf = dict(args.unit_decoder_conf)
    missing = [name for name in ("num_units", "spembs_size") if name not in conf]
    if missing:
        raise ValueError(
            f"unit_decoder_conf lacks {' and '.join(missing)}: the number of unit "
            "classes and of speaker features of stage 5"
        )
    decoder_class = unit_decoder_choices.get_class(args.unit_decoder)
    sizes = get_default_kwargs(decoder_class) | conf
    fusion_class = fusion_choices.get_class(args.fusion)
    fusion = fusion_class(size=sizes["hidden_size"], **args.fusion_conf)
    conf = {"vocab_size": vocab_size} | conf
    return decoder_class(taste_size=taste_size, fusion=fusion, **conf)
