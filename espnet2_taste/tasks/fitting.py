"""Whether the parts of a configuration fit each other, asked before anything is built.

Enters: options and built parts. Leaves: nothing, or an error with both numbers and the
option to change.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet2_taste.data.files import read_json
from espnet2_taste.experiment_files import config_of, read_config


def check_rate(part: str, rate: int, fs: int) -> None:
    """Refuse audio at another rate than a part takes.

    Args:
        part: Its name, for the message.
        rate: What it takes, Hz.
        fs: What the data have, Hz.

    Raises:
        ValueError: They differ.
    """
    if rate != fs:
        raise ValueError(
            f"the {part} takes {rate} Hz, the data have {fs} Hz: format the audio with "
            f"--fs {rate} and set fs, or choose another {part}"
        )


def check_cache(model_conf: Mapping, encoder) -> None:
    """Refuse to remember states of an encoder that changes.

    Args:
        model_conf: Options of the training model.
        encoder: The speech encoder.

    Raises:
        ValueError: The cache is on and the encoder trains.
    """
    size = model_conf.get("encoder_cache_mb", 0)
    if encoder.trainable and size:
        raise ValueError(
            f"model_conf.encoder_cache_mb is {size}, but {type(encoder).__name__} "
            "trains, so its states change: set encoder_cache_mb to 0, or "
            "speech_encoder_conf.trainable to false"
        )


def check_given(name: str, conf: Mapping, sizes: Mapping[str, int]) -> None:
    """Refuse sizes in the configuration that other parts do not have.

    Args:
        name: Name of the configuration.
        conf: The configuration.
        sizes: What other parts give.

    Raises:
        ValueError: One differs.
    """
    for size, value in sizes.items():
        if conf.get(size, value) != value:
            raise ValueError(
                f"{name}.{size} is {conf[size]}, but the part before gives {value}: "
                "leave it out"
            )


def check_vocabulary(name: str, conf: Mapping, text) -> None:
    """Refuse an embedding table with fewer rows than there are tokens.

    Args:
        name: Name of the configuration.
        conf: The configuration.
        text: Tokenizer of the text side.

    Raises:
        ValueError: The table is too small.
    """
    rows = conf.get("vocab_size", text.vocab_size)
    if rows < text.vocab_size:
        raise ValueError(
            f"{name}.vocab_size is {rows}, but the text side has {text.vocab_size} "
            "tokens: leave vocab_size out, or give the token list or tokenizer that "
            "belongs to it"
        )


def check_prefix(conf: Mapping) -> None:
    """Refuse ids before the text that the aggregator has no embedding for.

    Args:
        conf: Its ``prefix`` and ``vocab_size``.

    Raises:
        ValueError: An id is too large, e.g. Whisper's with another vocabulary.
    """
    prefix, rows = list(conf["prefix"]), conf["vocab_size"]
    if max(prefix, default=-1) >= rows:
        raise ValueError(
            f"the aggregator begins with the ids {prefix}, but knows {rows} tokens: "
            "set aggregator_conf.prefix to ids of the text side's vocabulary, or "
            "choose the aggregator or token_type that belongs to it"
        )


def check_same_tokens(
    text, token_list: Sequence[str] | None, encoder, state: Mapping
) -> None:
    """Refuse a trained text decoder whose tokens are others than the text side's.

    Args:
        text: Tokenizer of the text side.
        token_list: Its tokens, None for a Hugging Face vocabulary.
        encoder: Speech encoder, which knows the decoder's tokens.
        state: The decoder in the aggregator's names.

    Raises:
        ValueError: The vocabularies differ.
    """
    trained, rows = encoder.token_list(), len(state["embed.weight"])
    same = text.vocab_size <= rows
    if trained:
        same = token_list is not None and list(token_list) == list(trained)
    if not same:
        raise ValueError(
            f"the aggregator's vocabulary ({text.vocab_size} tokens) is not the one of "
            f"the speech encoder's decoder ({rows} tokens): give the token list or "
            "tokenizer the encoder was trained with, or set init_embeddings to false "
            "to take the rest of the decoder, or init_aggregator to false"
        )


def check_new_embeddings(aggregator_conf: Mapping) -> None:
    """Refuse to keep embeddings as they were drawn.

    Args:
        aggregator_conf: Options of the aggregator.

    Raises:
        ValueError: They do not train.
    """
    if not aggregator_conf.get("train_embeddings", False):
        raise ValueError(
            "init_embeddings is false, so the aggregator's embeddings are random, but "
            "they do not train: set aggregator_conf.train_embeddings to true"
        )


def fill_unit_sizes(args: argparse.Namespace, name: str, sizes: Sequence[str]) -> None:
    """Take sizes from the unit directory, and refuse others in the configuration.

    The configuration then holds them, so that rebuilding needs no unit directory.

    Args:
        args: Options with ``units_dir`` (None leaves all as it is) and the
            configuration.
        name: Name of the configuration.
        sizes: Entries wanted: num_units, spembs_size, unit_rate.

    Raises:
        ValueError: A size differs, or there is no unit directory.
    """
    if getattr(args, "units_dir", None) is None:
        return
    conf, config = getattr(args, name), config_of(args.units_dir)
    if not config.is_file():
        raise ValueError(f"{config} not found: run units fit (stage 5) first")
    found = read_config(config)
    for size in sizes:
        if conf.get(size, found[size]) != found[size]:
            raise ValueError(
                f"{name}.{size} is {conf[size]}, but the units of {config} have "
                f"{found[size]}: set it to {found[size]}, or make units and embeddings "
                "again (stage 5)"
            )
    setattr(args, name, {size: found[size] for size in sizes} | dict(conf))
    args.units_dir = None


def check_present(conf: Mapping, name: str, sizes: Sequence[str]) -> None:
    """Refuse a configuration without sizes that only stage 5 knows.

    Raises:
        ValueError: One is missing.
    """
    missing = [size for size in sizes if size not in conf]
    if missing:
        raise ValueError(
            f"{name} lacks {' and '.join(missing)}: the number of unit classes and of "
            "speaker features of stage 5; or give --units_dir exp/units"
        )


def check_codes(data: Sequence[Sequence[str]], quantizer) -> None:
    """Refuse codes of another quantizer, as far as stage 9 has described them.

    Args:
        data: Path, name and type of each table of the training set; none outside of
            training.
        quantizer: The quantizer that is to read them.

    Raises:
        ValueError: There are none, or codebooks differ in number or size.
    """
    names = [name for _, name, _ in data]
    if names and "codes" not in names:
        raise ValueError(
            f"the training set has {', '.join(names)} but no codes: add "
            "--train_data_path_and_name_and_type <set>/codes.scp,codes,kaldi_ark "
            "(stage 9), and the same of the validation set"
        )
    for path, name, _ in data:
        summary = Path(path).with_name("codes.json")
        if name != "codes" or not summary.is_file():
            continue
        found = read_json(summary)
        made = (len(found["used"]), found["codebook_size"])
        read = (quantizer.num_codebooks, quantizer.codebook_size)
        if made != read:
            raise ValueError(
                f"{path} holds {made[0]} codebooks of {made[1]} codes, the quantizer "
                f"of --taste_exp has {read[0]} of {read[1]}: give the experiment that "
                "wrote the codes, or tokenize again (stage 9)"
            )


def check_speakable(unit_decoder, vocoder, taste_exp: str, vocoder_exp: str) -> None:
    """Refuse a vocoder trained on other units or speaker embeddings.

    Args:
        unit_decoder: Makes the units.
        vocoder: Speaks them.
        taste_exp: Where the decoder comes from, for the message.
        vocoder_exp: Where the vocoder comes from.

    Raises:
        ValueError: They differ.
    """
    pairs = {
        "units": (unit_decoder.num_units, vocoder.num_units),
        "speaker features": (
            unit_decoder.spembs_size,
            vocoder.spembs_size,
        ),
    }
    for what, (made, spoken) in pairs.items():
        if made != spoken:
            raise ValueError(
                f"{taste_exp} knows {made} {what}, the vocoder in {vocoder_exp} "
                f"{spoken}: give a vocoder trained on the units of that experiment "
                "(--unit_vocoder_exp)"
            )
