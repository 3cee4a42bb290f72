"""Write the lengths of a training's utterances: ESPnet's shape files, without a model.

Enters: the data options of an ESPnet training. Leaves: ``train/<shape>_shape`` and
``valid/<shape>_shape`` below --output_dir, for --train_shape_file and
--valid_shape_file. Tables over different utterances are refused.
"""

import argparse
from pathlib import Path

from espnet2.utils.types import str2bool

from espnet2_taste.bin.command import run_command

_EXAMPLE = """example:
  python -m espnet2_taste.bin.write_shapes --shape speech --output_dir exp/asr_stats \\
      --train_data_path_and_name_and_type dump/raw/train/wav.scp,speech,sound \\
      --train_data_path_and_name_and_type dump/raw/train/text,text,text \\
      --valid_data_path_and_name_and_type dump/raw/dev/wav.scp,speech,sound \\
      --valid_data_path_and_name_and_type dump/raw/dev/text,text,text
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Write ESPnet's shape files without a model",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--output_dir", type=Path, required=True, help="Parent of train and valid")
    add("--shape", required=True, help="Name of the table whose lengths are written")
    for part in ("train", "valid"):
        add(
            f"--{part}_data_path_and_name_and_type",
            action="append",
            required=True,
            metavar="PATH,NAME,TYPE",
            help="As in the training; one for each table",
        )
    add("--tokenizer_path", help="Hugging Face tokenizer of a 'text' to be measured")
    add("--config", type=Path, help="YAML of the training: how words become tokens")
    add("--word_space", type=str2bool, help="Words begin with a space; else as in YAML")
    return parser


def token_counter(
    tokenizer_path: str | None, config: Path | None, word_space: bool | None = None
):
    """Function that counts the tokens of a transcript as the training does.

    Args:
        tokenizer_path: Hugging Face tokenizer.
        config: YAML of the training.
        word_space: Words begin with a space, whatever ``config`` says.

    Returns:
        From transcript to the number of its tokens.
    """
    from espnet2_taste.data.files import read_yaml
    from espnet2_taste.text.tokenizers import build_text_tokenizer
    from espnet2_taste.text.words import tokenize_words

    content = read_yaml(config) if config else {}
    names = ("first_word_space", "word_space")
    options = {name: content[name] for name in names if name in content}
    if word_space is not None:
        options["word_space"] = word_space
    tokenizer = build_text_tokenizer("hf", tokenizer_path=tokenizer_path)
    return lambda text: len(tokenize_words(text.split(), tokenizer, **options).ids)


def refuse_to_count(text: str) -> int:
    """Stand in for ``token_counter`` where no tokenizer was given."""
    raise ValueError("--shape names a text: expected its --tokenizer_path, found none")


def run(args: argparse.Namespace) -> None:
    """Write the two files."""
    from espnet2_taste.data.kaldi_dir import write_table
    from espnet2_taste.data.shapes import DataTable, measure_lengths

    if args.tokenizer_path:
        count = token_counter(args.tokenizer_path, args.config, args.word_space)
    else:
        count = refuse_to_count
    for part in ("train", "valid"):
        triples = getattr(args, f"{part}_data_path_and_name_and_type")
        tables = [DataTable.parse(triple) for triple in triples]
        lengths = measure_lengths(tables, args.shape, count)
        folder = args.output_dir / part
        folder.mkdir(parents=True, exist_ok=True)
        shapes = {name: str(length) for name, length in lengths.items()}
        write_table(folder / f"{args.shape}_shape", shapes)
        print(f"{folder / f'{args.shape}_shape'}: {len(shapes)} utterances")


def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
