"""Pair accuracy of every design, by stream and reduction, and over groups of sets.

Enters: ``<exp>/likelihood/<set>/scores.tsv`` of experiments of any design, and
``pairs.tsv`` of the sets. Leaves a table with one line a design, set and column of
``scores.tsv``: pairs, accuracy (ties one half), 95 % interval; and, for groups, the
mean over their sets (the paper's SALMON is that of the six consistency parts).
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command

_EXAMPLE = """example:
  python -m espnet2_taste.bin.pair_scores --expdir exp --names "taslm_embed gslm" \\
      --sets "pairs_style pairs_voice pairs_coherent" --dump_dir dump/raw \\
      --groups "consistency=pairs_style,pairs_voice" --output exp/pair_scores.tsv
"""
HEADER = ("design", "set", "score", "pairs", "ties", "accuracy", "low", "high")


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Pair accuracy of every design, by stream and reduction",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--expdir", type=Path, default=Path("exp"), help="Parent of the experiments")
    add("--names", required=True, help="Names of experiments, one string")
    add("--dump_dir", type=Path, default=Path("dump/raw"), help="Where the sets are")
    add("--sets", required=True, help="Names of sets with pairs.tsv, one string")
    add("--columns", default="", help="Columns of scores.tsv, default: all but tokens")
    add("--groups", default="", help='Means: "name=set,set name=set,set"')
    add("--output", type=Path, help="Tab-separated table")
    return parser


def read_groups(text: str, sets: list[str]) -> dict[str, list[str]]:
    """Sets of each group.

    Raises:
        ValueError: A group is written differently or holds an unknown set.
    """
    groups = {}
    for item in text.split():
        name, _, members = item.partition("=")
        groups[name] = members.split(",")
        unknown = set(groups[name]) - set(sets)
        if not members or unknown:
            raise ValueError(
                f"--groups {item}: expected name=set,set with sets of --sets "
                f"({', '.join(sets)})"
            )
    return groups


def score_design(exp: Path, args: argparse.Namespace) -> list[tuple]:
    """Lines of one design.

    Raises:
        ValueError: A set has no scores or lacks a column.
    """
    from dataclasses import asdict

    from espnet2_taste.evaluation.slm import score_pair_set
    from espnet2_taste.metrics.pairs import PairAccuracy, mean_accuracy

    sets, lines = args.sets.split(), []
    results: dict[str, dict[str, dict]] = {}
    for name in sets:
        results[name] = score_pair_set(
            exp / "likelihood", args.dump_dir, name, args.columns.split()
        )
    for name, members in read_groups(args.groups, sets).items():
        shared = [
            c for c in results[members[0]] if all(c in results[m] for m in members)
        ]
        results[name] = {
            column: asdict(
                mean_accuracy([PairAccuracy(**results[m][column]) for m in members])
            )
            for column in shared
        }
    for name, by_column in results.items():
        for column, result in by_column.items():
            numbers = [f"{result[key]:.4f}" for key in ("accuracy", "low", "high")]
            lines.append(
                (exp.name, name, column, result["pairs"], result["ties"], *numbers)
            )
    return lines


def run(args: argparse.Namespace) -> None:
    """Print the table and write it."""
    from espnet2_taste.data.ctm import write_rows
    from espnet2_taste.metrics.tables import aligned_lines

    rows = []
    for name in args.names.split():
        rows += score_design(args.expdir / name, args)
    print("\n".join(aligned_lines([HEADER, *rows])))
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        write_rows(args.output, HEADER, rows)


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
