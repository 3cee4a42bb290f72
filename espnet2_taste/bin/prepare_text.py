"""Stage 3: transcripts -> words, and the two vocabularies trained on them.

Enters: ``<dump_dir>/<set>`` with raw ``text``. Leaves: normalised ``text`` in every
set, sentencepiece + ESPnet token list in ``--token_dir``, a Hugging Face tokenizer in
``--lm_tokenizer_dir``, and ``<lm_text_dir>/text``: what the text backbone trains on.

Example:
    python -m espnet2_taste.bin.prepare_text --dump_dir dump/raw --train_set train \\
        --sets "train dev test" --token_dir data/token_list/bpe --nbpe 120 \\
        --lm_tokenizer_dir data/lm_tokenizer --extra_text data/text_extra
"""

import argparse
import logging
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser
from espnet2.utils.types import str2bool

from espnet2_taste.bin.command import Command
from espnet2_taste.data.kaldi_dir import read_table, write_table
from espnet2_taste.recognizers.options import add_recognizer_arguments
from espnet2_taste.text.normalizers import normalizer_choices
from espnet2_taste.text.preparation import (
    TextRules,
    prepare_set,
    read_sentences,
    read_symbols,
)
from espnet2_taste.text.segmenters import segmenter_choices
from espnet2_taste.text.tokenizers import load_token_dir
from espnet2_taste.text.training import (
    train_lm_tokenizer,
    train_sentencepiece,
    write_directory,
)
from espnet2_taste.text.unknown import find_unknown, report_unknown


def add_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run`."""
    add = parser.add_argument
    add("--dump_dir", required=True, help="Folder of the sets")
    add("--train_set", required=True, help="Set the vocabularies are trained on")
    add("--sets", required=True, help="All sets, separated by spaces")
    add("--token_dir", required=True, help="Receives tokens.txt, token_type, bpe.model")
    add("--lm_tokenizer_dir", required=True, help="Receives the LM's tokenizer")
    add("--lm_text_dir", help="Receives the LM's text (default: DUMP_DIR/lm_train)")
    add_recognizer_arguments(parser)  # none: train a vocabulary
    add("--nbpe", type=int, default=120, help="Pieces of the speech side's vocabulary")
    add("--lm_vocab_size", type=int, default=640, help="Tokens of the LM")
    add("--extra_text", help="More sentences for the LM, one a line")
    for choices in (normalizer_choices, segmenter_choices):
        name, kind = f"--{choices.name}", f"Kind of {choices.name}"
        add(name, default=choices.default, choices=choices.choices(), help=kind)
    add(
        "--non_linguistic_symbols", help="File of words that are not spoken, one a line"
    )
    add("--transcripts", default="text", help="Table of each set with its transcripts")
    add("--max_unknown", type=float, default=0.05, help="Largest share of <unk>")
    add("--word_space", type=str2bool, default=True, help="Mark words by a space")


def _text_rules(args: argparse.Namespace):
    """How raw text becomes words, according to the options."""
    symbols = ()
    if args.non_linguistic_symbols:
        symbols = read_symbols(args.non_linguistic_symbols)
    return TextRules(args.normalizer, args.segmenter, symbols, args.transcripts)


def _report_unknown(args: argparse.Namespace, sets: list[str]) -> None:
    """Say of each set how much the vocabulary of the speech side does not know."""
    tokenizer = load_token_dir(args.token_dir)
    for name in sets:
        folder = Path(args.dump_dir) / name
        texts = read_table(folder / "text").values()
        found = find_unknown(texts, tokenizer, args.word_space)
        logging.info("%s: %s", name, report_unknown(folder, found, args.max_unknown))


def _report(name: str, report) -> None:
    """Log what was done to a set (None: nothing)."""
    if report is None:
        logging.info("%s: prepared before", name)
        return
    logging.info(
        "%s: %d utterances kept, %d dropped (dropped.tsv), %d lost tags or pieces "
        "without letters (removed_words.tsv), %d lost their word times (untimed.tsv)",
        *(name, report.kept, len(report.dropped)),
        *(len(report.removed), len(report.untimed)),
    )


def _write_token_dir(args: argparse.Namespace, sentences: list[str]) -> None:
    """Take or train the vocabulary of the speech side, unless it is there."""
    token_dir = Path(args.token_dir)
    if (token_dir / "token_type").is_file():
        return
    if args.recognizer:
        from espnet2_taste.recognizers.choices import load_recognizer

        recognizer = load_recognizer(args.recognizer, args.recognizer_conf)
        write_directory(token_dir, recognizer.write_vocabulary)
        logging.info("%s: the tokens of %s", token_dir, args.recognizer)
        return
    train_sentencepiece(sentences, token_dir, args.nbpe)
    logging.info("%s: trained on %d sentences", token_dir, len(sentences))


def _write_lm_text(directory: Path, sentences: list[str]) -> None:
    """Write the text backbone's training text, unless it is there."""
    table = {f"sentence{index:09d}": line for index, line in enumerate(sentences)}
    path = directory / "text"
    if path.is_file() and read_table(path) == table:
        return
    directory.mkdir(parents=True, exist_ok=True)
    write_table(path, table)


def run(args: argparse.Namespace) -> None:
    """Do what is not done yet.

    Args:
        args: Parsed options.

    Raises:
        ValueError: A set is missing or malformed, or a vocabulary cannot be trained.
    """
    rules = _text_rules(args)
    dump_dir = Path(args.dump_dir)
    sets = list(dict.fromkeys([args.train_set, *args.sets.split()]))
    for name in sets:
        _report(name, prepare_set(dump_dir / name, rules))
    sentences = list(read_table(dump_dir / args.train_set / "text").values())
    extra = read_sentences(args.extra_text, rules) if args.extra_text else []
    lm_text_dir = Path(args.lm_text_dir or dump_dir / "lm_train")
    _write_lm_text(lm_text_dir, sentences + extra)
    _write_token_dir(args, sentences)
    _report_unknown(args, sets)
    lm_dir = Path(args.lm_tokenizer_dir)
    if not (lm_dir / "tokenizer_config.json").is_file():
        train_lm_tokenizer(sentences + extra, lm_dir, args.lm_vocab_size)
        logging.info("%s: trained on %d sentences", lm_dir, len(sentences + extra))


main = Command(run, add_options, __doc__)

if __name__ == "__main__":
    main()
