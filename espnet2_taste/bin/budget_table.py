"""What each design of the comparison cost: one line a design.

Enters: experiments with their ``config.yaml`` and ``checkpoint.pth`` and, where there
are, ``speed.tsv`` of their continuations and the table of ``padding_table``. Leaves,
printed and as a table: trained and all parameters, epochs, seconds of training, rows
and padding, floating point operations of the training as its modules are counted
(``evaluation/training_cost.py``), rows written a second, and with how many steps, and
which corners of the learning rate's schedule, the training would cost what the first
one did. What is not there is shown as "-".
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command

_EXAMPLE = """example:
  python -m espnet2_taste.bin.budget_table --expdir exp --names "taslm_embed gslm" \\
      --padding exp/padding.tsv --output exp/budgets.tsv
"""
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
    "equal_flops_warmup_steps",
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
    add("--output", help="Tab-separated table")
    return parser


def rows_per_second(folder: Path) -> str:
    """Rows that generation wrote in a second, over all sets that were continued."""
    from espnet2_taste.data.ctm import finite, read_rows

    found = [
        row
        for path in sorted(folder.glob("continuation/*/speed.tsv"))
        for row in read_rows(path, {"seconds": finite, "rows": int})
    ]
    seconds = sum(row["seconds"] for row in found)
    if not seconds:
        return MISSING
    return f"{sum(row['rows'] for row in found) / seconds:.1f}"


def padding_of(name: str, padding: dict) -> dict:
    """Row of a design in the table of padding; TASLM's variants share one."""
    return padding.get(name, padding.get(name.split("_")[0], {}))


def equal_flops(folder: Path, cost, reference: float) -> tuple[str, str]:
    """How a training would cost what another one did.

    Args:
        folder: Its experiment.
        cost: ``TrainingCost`` of it.
        reference: Operations of the other training.

    Returns:
        Steps an epoch, and the corners of the learning rate's schedule in steps as a
        YAML list; "-" for a schedule of another kind.
    """
    from espnet2_taste.evaluation.budget import equal_flops_steps, scaled_steps
    from espnet2_taste.experiment_files import read_config

    steps = equal_flops_steps(cost.steps, cost.epochs, cost.flops, reference)
    conf = read_config(folder / "config.yaml").get("scheduler_conf", {})
    corners = conf.get("warmup_steps_list")
    if corners is None:
        return str(steps), MISSING
    scaled = scaled_steps(corners, steps * cost.epochs / cost.steps)
    return str(steps), f"[{','.join(map(str, scaled))}]"


def line(name: str, folder: Path, padding: dict, cost, reference) -> tuple:
    """One line of the table.

    Args:
        name: Of the design.
        folder: Its experiment.
        padding: Row of the table of padding, or nothing.
        cost: ``TrainingCost``, or None.
        reference: Operations of the training that sets the budget, or None.

    Returns:
        Cells under ``HEADER``.
    """
    rows = padding.get("rows", MISSING)
    share = padding.get("padding_percent", MISSING)
    spent: tuple = (MISSING,) * 4
    arithmetic, equal = MISSING, (MISSING, MISSING)
    if cost is not None:
        step = cost.step
        spent = (step.trained, step.total, cost.epochs, f"{cost.seconds:.0f}")
        arithmetic = f"{cost.flops / 1e12:.2f}"
        if reference is not None:
            equal = equal_flops(folder, cost, reference)
    speed = rows_per_second(folder)
    return (Path(name).name, *spent, rows, share, arithmetic, *equal, speed)


def run(args: argparse.Namespace) -> None:
    """Print the table and write it; the first design sets the budget."""
    from espnet2_taste.data.ctm import read_rows, write_rows
    from espnet2_taste.evaluation.training_cost import training_cost
    from espnet2_taste.metrics.tables import aligned_lines
    from espnet2_taste.tasks.spoken_lm import SpokenLMTask

    known = read_rows(args.padding) if args.padding else []
    padding = {row["design"].split()[0]: row for row in known}
    names = args.names.split()
    folders = {name: Path(args.expdir) / name for name in names}
    costs = {name: training_cost(folders[name], SpokenLMTask) for name in names}
    first = costs[names[0]]
    reference = None if first is None else first.flops
    rows = []
    for name, folder in folders.items():
        own = padding_of(Path(name).name, padding)
        rows.append(line(name, folder, own, costs[name], reference))
    print("\n".join(aligned_lines([HEADER, *rows])))
    if args.output:
        write_rows(args.output, HEADER, rows)


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
