"""Rows and padding of every design on a set.

Enters: Kaldi-style sets with ``text``, word times (``ctm``) and ``units``, and the
YAML files of the designs. Leaves, printed and, if asked for, as a table: for each
design rows of an utterance, rows a second, padding of all cells and of the text stream,
and the epochs that cost as much as one epoch of TASLM. Without ``units`` their number
follows from ``utt2dur``, and designs that leave out repeated units are left out with
that reason; so are designs whose other data are missing.
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command

_EXAMPLE = """example:
  python -m espnet2_taste.bin.padding_table --data_dir dump/raw/train \\
      --tokenizer_path exp/llm_base --systems conf/systems/*.yaml \\
      --output exp/padding.tsv
"""
HEADER = (
    "design",
    "layout",
    "utterances",
    "rows",
    "rows_per_second",
    "padding_percent",
    "text_padding_percent",
    "tail_units",
    "epochs_for_one_of_taslm",
)
TASLM = "taslm (text_aligned)"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Rows and padding of every design on a set",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data_dir", required=True, help="The set")
    add("--tokenizer_path", required=True, help="The language model's")
    add("--systems", nargs="*", default=[], help="YAML files of the designs")
    add("--ctm", default="ctm", help="File with word times in the set")
    add("--text", default="text", help="File with transcripts in the set")
    add("--num_units", type=int, default=200, help="Units")
    add("--unit_rate", type=float, default=25.0, help="Units a second")
    add("--taslm_delay", type=int, default=1, help="Words between a word and its code")
    add("--seed", type=int, default=0, help="Of layouts with chance in training")
    add("--output", help="Tab-separated table")
    return parser


def add_placeholders(fields: dict, folder: Path, rate: float) -> bool:
    """Give units to a set that has none: as many as its durations say.

    Args:
        fields: Of the set, changed.
        folder: The set.
        rate: Units a second.

    Returns:
        Whether the units are true ones.

    Raises:
        ValueError: Neither units nor durations.
    """
    import numpy as np

    from espnet2_taste.data.kaldi_dir import read_table

    if any("units" in field for field in fields.values()):
        return True
    path = folder / "utt2dur"
    if not path.is_file():
        raise ValueError(f"{folder} has neither units nor utt2dur: run extract_units")
    for name, seconds in read_table(path).items():
        if name in fields:
            count = max(round(float(seconds) * rate), 1)
            fields[name]["units"] = np.zeros(count, dtype=np.int64)
    return False


def layouts(args: argparse.Namespace, tokenizer) -> dict:
    """Layout of each design by its name, TASLM's first.

    Args:
        args: Options.
        tokenizer: The language model's.

    Returns:
        Layouts by design.
    """
    from espnet2_taste.data.files import read_yaml
    from espnet2_taste.slm.grid_data import text_vocabulary
    from espnet2_taste.slm.layouts.streams import Inventory
    from espnet2_taste.slm.layouts.word_codes import WordCodesLayout
    from espnet2_taste.tasks.build_spoken_lm import build_layout, complete_options

    inventory = Inventory(text_vocabulary(tokenizer), 1, codes=1, code_codebooks=4)
    result = {TASLM: WordCodesLayout(inventory, args.taslm_delay)}
    for path in map(Path, args.systems):
        given = read_yaml(path)
        if "layout" not in given:
            continue
        sizes = {"num_units": args.num_units, "unit_rate": args.unit_rate}
        result[path.stem] = build_layout(complete_options(given | sizes), tokenizer)
    return result


def measure(layout, utterances: dict, true_units: bool, seed: int):
    """Budget of a layout on a set, or the reason why there is none.

    Args:
        layout: Of the design.
        utterances: By id.
        true_units: The units are not placeholders.
        seed: Of the layout's draws.

    Returns:
        ``RowBudget`` or str.
    """
    from dataclasses import replace

    from espnet2_taste.evaluation.budget import count_rows

    if layout.deduplicates and not true_units:
        return "repeated units are left out: needs true units"
    items = list(utterances.values())
    if "codes" in layout.needs:  # their number counts, not what they are
        code = (0,) * layout.inventory.code_codebooks
        items = [replace(item, codes=(code,) * len(item.words)) for item in items]
    try:
        return count_rows(layout, items, seed)
    except ValueError as error:
        return str(error)


def table(args: argparse.Namespace) -> list[tuple]:
    """One line a design.

    Args:
        args: Options.

    Returns:
        Rows under ``HEADER``.
    """
    from espnet2_taste.slm.grid_data import UtteranceOptions, UtteranceReader
    from espnet2_taste.slm.grid_sets import read_fields, read_utterances
    from espnet2_taste.text.huggingface_tokenizer import HuggingFaceTokenizer

    folder = Path(args.data_dir)
    tokenizer = HuggingFaceTokenizer(args.tokenizer_path)
    fields = read_fields(folder, args.ctm, frozenset(("word_times",)), args.text)
    true_units = add_placeholders(fields, folder, args.unit_rate)
    fields = {name: field for name, field in fields.items() if "units" in field}
    reader = UtteranceReader(tokenizer, UtteranceOptions(unit_rate=args.unit_rate))
    utterances = read_utterances(fields, reader)
    rows, reference = [], None
    for design, layout in layouts(args, tokenizer).items():
        kind = type(layout).__name__.removesuffix("Layout")
        found = measure(layout, utterances, true_units, args.seed)
        if isinstance(found, str):
            rows.append((design, kind, *["-"] * (len(HEADER) - 3), found))
            continue
        reference = reference or found.rows
        shares = (100 * found.padding, 100 * found.text_padding)
        numbers = (found.rows, found.rows_per_second, *shares, found.tail)
        shown = [f"{number:.1f}" for number in numbers]
        epochs = f"{reference / found.rows:.2f}"
        rows.append((design, kind, found.utterances, *shown, epochs))
    return rows


def run(args: argparse.Namespace) -> None:
    """Print the table, and write it where ``--output`` says."""
    from espnet2_taste.data.ctm import write_rows
    from espnet2_taste.metrics.tables import aligned_lines

    rows = table(args)
    print("\n".join(aligned_lines([HEADER, *rows])))
    if args.output:
        Path(args.output).parent.mkdir(parents=True, exist_ok=True)
        write_rows(args.output, HEADER, rows)


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
