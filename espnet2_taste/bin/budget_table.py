"""What each design of the comparison cost: one line a design.

Enters: experiments with their ``train.log`` and, where there are, ``speed.tsv`` of
their continuations and the table of ``padding_table``. Leaves, printed and as a table:
trained and all parameters, epochs, seconds of training, rows and padding, arithmetic of
the training (a lower bound: attention over the past is left out) and rows written a
second. What is not there is shown as "-".
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command

_EXAMPLE = """example:
  python -m espnet2_taste.bin.budget_table --expdir exp --names "taslm_embed gslm moshi" \\
      --padding exp/padding.tsv --utterances 1080 --output exp/budgets.tsv
"""  # noqa: E501
HEADER = (
    "design",
    "trained_parameters",
    "parameters",
    "epochs",
    "training_seconds",
    "rows",
    "padding_percent",
    "training_teraflops",
    "rows_written_per_second",
)
MISSING = "-"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="What each design cost",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--expdir", default="exp", help="Parent of the experiments")
    add("--names", required=True, help="Names of experiments, one string")
    add("--padding", help="Table of padding_table")
    add("--utterances", type=int, required=True, help="Utterances of an epoch")
    add("--output", help="Tab-separated table")
    return parser


def training_cost(folder: Path):
    """Cost of an experiment's training, None if there was none."""
    from espnet2_taste.evaluation.training_log import read_training_log

    logs = sorted(folder.glob("train*.log"), key=lambda path: path.stat().st_mtime)
    return read_training_log("\n".join(p.read_text("utf-8", "replace") for p in logs))


def rows_per_second(folder: Path) -> str:
    """Rows that generation wrote in a second, over all sets that were continued."""
    from espnet2_taste.data.ctm import read_rows

    found = [
        row
        for path in sorted(folder.glob("continuation/*/speed.tsv"))
        for row in read_rows(path)
    ]
    seconds = sum(float(row["seconds"]) for row in found)
    if not seconds:
        return MISSING
    return f"{sum(int(row['rows']) for row in found) / seconds:.1f}"


def line(name: str, folder: Path, padding: dict, utterances: int) -> tuple:
    """One line of the table.

    Args:
        name: Of the design.
        folder: Its experiment.
        padding: Row of the table of padding, or nothing.
        utterances: Of an epoch.

    Returns:
        Cells under ``HEADER``.
    """
    from espnet2_taste.evaluation.budget import training_flops

    cost = training_cost(folder)
    rows = padding.get("rows", MISSING)
    spent: tuple = (MISSING,) * 4
    flops = MISSING
    if cost is not None:
        spent = (cost.trained, cost.total, cost.epochs, f"{cost.seconds:.0f}")
        if rows != MISSING:
            read = float(rows) * utterances * cost.epochs
            flops = f"{training_flops(read, cost.total, cost.trained) / 1e12:.2f}"
    share = padding.get("padding_percent", MISSING)
    return (name, *spent, rows, share, flops, rows_per_second(folder))


def run(args: argparse.Namespace) -> None:
    """Print the table and write it."""
    from espnet2_taste.data.ctm import read_rows, write_rows
    from espnet2_taste.metrics.tables import aligned_lines

    known = read_rows(args.padding) if args.padding else []
    padding = {row["design"].split()[0]: row for row in known}
    rows = []
    for name in args.names.split():
        own = padding.get(name, padding.get(name.split("_")[0], {}))
        folder = Path(args.expdir) / name
        rows.append(line(name, folder, own, args.utterances))
    print("\n".join(aligned_lines([HEADER, *rows])))
    if args.output:
        write_rows(args.output, HEADER, rows)


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
