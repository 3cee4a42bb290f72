"""Build the TASTE tokenizer that options describe, and what prepares its data.

Enters: options of ``TasteTask``. Leaves: the model with random or imported weights, and
the preprocessor of transcripts. Inference needs this and not the task, whose base class
imports all of ESPnet's training.
"""

import argparse
import logging

from espnet2.utils.get_default_kwargs import get_default_kwargs

from espnet2_taste.align.letter_models import LetterModels
from espnet2_taste.espnet_taste_model import ESPnetTasteModel
from espnet2_taste.speech_decoder.abs_unit_decoder import AbsUnitDecoder
from espnet2_taste.tasks import fitting
from espnet2_taste.tasks.arguments import text_tokenizer_options
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
from espnet2_taste.tasks.given_recognizer import fill_decoder_sizes, fill_recognizer
from espnet2_taste.tasks.parts import build_part, keyword_names
from espnet2_taste.text.abs_tokenizer import AbsTextTokenizer
from espnet2_taste.text.preprocessor import TastePreprocessor
from espnet2_taste.text.token_list_tokenizers import read_token_list
from espnet2_taste.text.tokenizers import build_text_tokenizer
from espnet2_taste.tokenizer.aggregator import AbsAggregator
from espnet2_taste.tokenizer.encoders.abs_encoder import AbsSpeechEncoder
from espnet2_taste.tokenizer.taste_tokenizer import TasteTokenizer
from espnet2_taste.tokenizer.word_timer import AbsWordTimer


def build_taste(args: argparse.Namespace) -> ESPnetTasteModel:
    """Build the model; sizes pass from part to part.

    Args:
        args: Options of the task; ``token_list`` is read where it is a file.

    Returns:
        The training model.

    Raises:
        ValueError: Parts do not fit each other or the data.
    """
    if isinstance(args.token_list, str):  # config.yaml then needs no file
        args.token_list = read_token_list(args.token_list)
    names = ("token_type", "token_list", "bpemodel", "tokenizer_path")
    text = build_text_tokenizer(**{name: getattr(args, name) for name in names})
    fill_recognizer(args)
    encoder = build_part(speech_encoder_choices, args)
    fill_decoder_sizes(args, text, encoder)
    fitting.check_rate("speech encoder", encoder.sample_rate, args.fs)
    fitting.check_cache(args.model_conf, encoder)
    timer = _word_timer(args, text)
    aggregator = _aggregator(args, text, encoder, timer is not None)
    quantizer = build_part(quantizer_choices, args, dim=aggregator.output_size)
    tokenizer = TasteTokenizer(
        encoder, aggregator, quantizer, args.project_without_codes, timer
    )
    unit_decoder = _unit_decoder(args, text, quantizer.dim)
    model = ESPnetTasteModel(tokenizer, unit_decoder, **args.model_conf)
    if encoder.in_checkpoints:
        model.frozen_prefixes = ()
    return model


def build_taste_preprocessor(args: argparse.Namespace) -> TastePreprocessor:
    """What tokenises transcripts word by word; units must be ones the decoder knows.

    Args:
        args: Options of the task.

    Returns:
        The preprocessor.
    """
    num_units = args.unit_decoder_conf.get("num_units")
    return TastePreprocessor(**text_tokenizer_options(args), num_units=num_units)


def _word_timer(
    args: argparse.Namespace, text: AbsTextTokenizer
) -> AbsWordTimer | None:
    """What times the words; config.yaml keeps the letters, checkpoints the models."""
    if getattr(args, "word_timer", None) is None:
        return None
    models = None
    if args.letter_models is not None:
        models = LetterModels.load(args.letter_models)
        args.word_timer_conf = {**args.word_timer_conf, "letters": models.letters}
        args.letter_models = None
    elif "letters" not in args.word_timer_conf:
        raise ValueError(
            f"word_timer {args.word_timer} needs --letter_models: run the recipe with "
            "--refine_times true, or take word_timer out of the configuration"
        )
    timer = build_part(word_timer_choices, args, text, args.fs)
    if models is not None:
        timer.load_models(models)
    return timer


def _aggregator(
    args: argparse.Namespace,
    text: AbsTextTokenizer,
    encoder: AbsSpeechEncoder,
    timed_words: bool,
) -> AbsAggregator:
    source = build_part(
        states_source_choices,
        args,
        encoder.key_size,
        encoder.value_size,
        len(encoder.value_layers),
    )
    encoder.adds_prosody = source.needs_prosody
    sizes = {"key_size": source.key_size, "value_size": source.value_size}
    sizes["timed_words"] = timed_words
    default = aggregator_choices.get_class(args.aggregator).default_prefix
    given = {"vocab_size": text.vocab_size}  # a trained table may have more rows
    if "prefix" not in args.aggregator_conf:
        given["prefix"] = text.decoder_prefix() or default(text.vocab_size)
    fitting.check_given("aggregator_conf", args.aggregator_conf, sizes)
    fitting.check_vocabulary("aggregator_conf", args.aggregator_conf, text)
    fitting.check_prefix(given | args.aggregator_conf)
    aggregator = build_part(
        aggregator_choices, args, **sizes, **given, states_source=source
    )
    return _initialised(args, text, encoder, aggregator)


def _initialised(
    args: argparse.Namespace,
    text: AbsTextTokenizer,
    encoder: AbsSpeechEncoder,
    aggregator: AbsAggregator,
) -> AbsAggregator:
    """Start the aggregator from the text decoder trained with the encoder."""
    state = encoder.decoder_state() if args.init_aggregator else {}
    if not state:
        return aggregator
    if getattr(args, "init_embeddings", True):
        fitting.check_same_tokens(text, args.token_list, encoder, state)
    else:
        fitting.check_new_embeddings(args.aggregator_conf)
        own = aggregator.state_dict()
        state = {**state, "embed.weight": own["embed.weight"]}
    aggregator.load_decoder_state(state)
    logging.info("the aggregator starts from the speech encoder's text decoder")
    return aggregator


def _unit_decoder(
    args: argparse.Namespace, text: AbsTextTokenizer, taste_size: int
) -> AbsUnitDecoder:
    decoder_class = unit_decoder_choices.get_class(args.unit_decoder)
    takes = keyword_names(decoder_class)
    sizes = [n for n in ("num_units", "spembs_size", "unit_rate") if n in takes]
    fitting.fill_unit_sizes(args, "unit_decoder_conf", sizes)
    conf = args.unit_decoder_conf
    fitting.check_present(conf, "unit_decoder_conf", sizes)
    fitting.check_given("unit_decoder_conf", conf, {"taste_size": taste_size})
    fitting.check_vocabulary("unit_decoder_conf", conf, text)
    size = (get_default_kwargs(decoder_class) | conf)["hidden_size"]
    given = {"vocab_size": text.vocab_size, "taste_size": taste_size}
    parts = {
        fusion_choices: {},
        text_input_choices: {"tokenizer": text},
        unit_history_choices: {"num_units": conf["num_units"]},
    }
    for choices, options in parts.items():
        if choices.name in takes:
            given[choices.name] = build_part(choices, args, size=size, **options)
    return build_part(unit_decoder_choices, args, **given)
