"""Learn how long units last, for designs that leave repeated units out.

Enters: ``units`` of a training set. Leaves <output_dir>: ``durations.pth`` and
``config.yaml``, and the error on another set beside that of a constant. A finished
folder is kept.
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command

_EXAMPLE = """example:
  python -m espnet2_taste.bin.fit_durations --data_dir dump/raw/train \\
      --valid_dir dump/raw/dev --num_units 200 --output_dir exp/unit_durations
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Learn how long units last",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data_dir", required=True, help="Training set with units")
    add("--valid_dir", help="Set whose error is printed")
    add("--num_units", type=int, default=200, help="Units")
    add("--output_dir", required=True, help="Folder to write")
    add("--steps", type=int, default=600, help="Batches")
    add("--batch_size", type=int, default=32, help="Utterances of a batch")
    add("--seed", type=int, default=0, help="Of weights and batches")
    return parser


def read_units(folder: Path) -> list[list[int]]:
    """Units of a set, one string an utterance."""
    from espnet2_taste.data.kaldi_dir import read_table

    rows = read_table(folder / "units").values()
    return [[int(unit) for unit in row.split()] for row in rows]


def run(args: argparse.Namespace) -> None:
    """Train, write, and say how good it is."""
    from espnet2_taste.units.durations import CONFIG, duration_error, fit_durations

    if (Path(args.output_dir) / CONFIG).is_file():
        print(f"fit_durations: {args.output_dir} is done")
        return
    units = read_units(Path(args.data_dir))
    model = fit_durations(
        units, args.num_units, args.steps, args.batch_size, seed=args.seed
    )
    model.save(args.output_dir)
    if args.valid_dir:
        error, constant = duration_error(model, read_units(Path(args.valid_dir)))
        print(
            f"{args.output_dir}: mean error {error:.2f} frames, of a constant "
            f"{constant:.2f}"
        )


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
