"""What a TASTE training takes from the recognizer that it is given.

Enters: options with ``--recognizer``. Leaves: the same options, with speech encoder,
aggregator and their sizes written out, so that ``config.yaml`` rebuilds the model.
What the configuration names itself stays.
"""

import argparse

from espnet2_taste.recognizers.choices import find_recognizer, load_recognizer
from espnet2_taste.tasks.choices import aggregator_choices, speech_encoder_choices
from espnet2_taste.tasks.parts import keyword_names
from espnet2_taste.text.abs_tokenizer import AbsTextTokenizer
from espnet2_taste.tokenizer.encoders.abs_encoder import AbsSpeechEncoder


def fill_recognizer(args: argparse.Namespace) -> None:
    """Choose encoder and aggregator of the recognizer where none is named.

    Args:
        args: Options; ``recognizer`` None leaves all as it is.

    Raises:
        ValueError: There is no such recognizer.
    """
    if getattr(args, "recognizer", None) is None:
        return
    kind, conf = find_recognizer(args.recognizer, args.recognizer_conf)
    args.recognizer, args.recognizer_conf = kind, conf
    recognizer = load_recognizer(kind, conf)
    named = args.speech_encoder != speech_encoder_choices.default
    if not named and "asr_exp" not in args.speech_encoder_conf:
        args.speech_encoder = recognizer.speech_encoder
        if args.aggregator == aggregator_choices.default:
            args.aggregator = recognizer.aggregator
    if args.speech_encoder == recognizer.speech_encoder:
        given = args.speech_encoder_conf
        args.speech_encoder_conf = recognizer.encoder_conf() | given


def fill_decoder_sizes(
    args: argparse.Namespace, text: AbsTextTokenizer, encoder: AbsSpeechEncoder
) -> None:
    """Take the sizes of the encoder's text decoder, which the aggregator starts from.

    Args:
        args: Options; sizes that stand in ``aggregator_conf`` stay.
        text: Tokenizer of the text side. The decoder's table may have more rows.
        encoder: The speech encoder.
    """
    if not args.init_aggregator:
        return
    sizes = dict(encoder.decoder_sizes())
    own = not getattr(args, "init_embeddings", True)
    if own or sizes.get("vocab_size", 0) < text.vocab_size:
        sizes.pop("vocab_size", None)
    known = keyword_names(aggregator_choices.get_class(args.aggregator))
    sizes = {name: size for name, size in sizes.items() if name in known}
    args.aggregator_conf = sizes | dict(args.aggregator_conf)
