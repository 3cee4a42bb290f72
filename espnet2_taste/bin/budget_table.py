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
    "equal_flops_steps_an_epoch",
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
    add(
        "--names",
        required=True,
        help="Experiments, one string; the first sets the budget of equal FLOPs",
    )
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


def padding_of(name: str, padding: dict) -> dict:
    """Row of a design in the table of padding; TASLM's variants share one."""
    return padding.get(name, padding.get(name.split("_")[0], {}))


def training_teraflops(cost, rows: str, utterances: int) -> float | None:
    """Arithmetic of a training, None if its cost or rows are not known."""
    from espnet2_taste.evaluation.budget import training_flops

    if cost is None or rows == MISSING:
        return None
    read = float(rows) * utterances * cost.passes
    return training_flops(read, cost.total, cost.trained) / 1e12


def line(name: str, folder: Path, padding: dict, utterances: int, reference) -> tuple:
    """One line of the table.

    Args:
        name: Of the design.
        folder: Its experiment.
        padding: Row of the table of padding, or nothing.
        utterances: Of the training set.
        reference: Arithmetic of the training that sets the budget, or None.

    Returns:
        Cells under ``HEADER``.
    """
    from espnet2_taste.evaluation.budget import equal_flops_steps

    cost = training_cost(folder)
    rows = padding.get("rows", MISSING)
    spent: tuple = (MISSING,) * 4
    if cost is not None:
        spent = (cost.trained, cost.total, cost.epochs, f"{cost.seconds:.0f}")
    flops = training_teraflops(cost, rows, utterances)
    steps = MISSING
    if flops and reference:
        steps = str(equal_flops_steps(cost.steps, cost.epochs, flops, reference))
    share = padding.get("padding_percent", MISSING)
    arithmetic = MISSING if flops is None else f"{flops:.2f}"
    speed = rows_per_second(folder)
    return (Path(name).name, *spent, rows, share, arithmetic, steps, speed)


def run(args: argparse.Namespace) -> None:
    """Print the table and write it; the first design sets the budget."""
    from espnet2_taste.data.ctm import read_rows, write_rows
    from espnet2_taste.metrics.tables import aligned_lines

    known = read_rows(args.padding) if args.padding else []
    padding = {row["design"].split()[0]: row for row in known}
    names = args.names.split()
    own = {name: padding_of(Path(name).name, padding) for name in names}
    folders = {name: Path(args.expdir) / name for name in names}
    first = names[0]
    reference = training_teraflops(
        training_cost(folders[first]), own[first].get("rows", MISSING), args.utterances
    )
    rows = [
        line(name, folders[name], own[name], args.utterances, reference)
        for name in names
    ]
    print("\n".join(aligned_lines([HEADER, *rows])))
    if args.output:
        write_rows(args.output, HEADER, rows)


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
