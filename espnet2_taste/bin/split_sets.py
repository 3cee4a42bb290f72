"""Split sets into parts of at most 1000 utterances, with a list of parts for each job.

Enters: sets. Leaves: ``<parts_dir>/0001/<set>`` and so on with the tables asked for,
``<parts_dir>/<job>.sets``, and the number of jobs in ``num_jobs``. A part that is as it
was is kept, with what a job left in it: repeated jobs do only what is missing.
"""

import argparse
from pathlib import Path

from espnet2.utils.types import str2bool

from espnet2_taste.bin.command import run_command
from espnet2_taste.data.parts import split_sets

_EXAMPLE = """example:
  python -m espnet2_taste.bin.split_sets --dump_dir dump/raw --sets "train dev" \\
      --tables "wav.scp text" --parts_dir dump/raw/parts/align --nj 8
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Split sets into parts, with a list of parts for each job",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--dump_dir", type=Path, required=True, help="Where the sets are")
    add("--sets", required=True, help="Names of sets, one string")
    add("--tables", required=True, help="What the jobs read, one string")
    add("--parts_dir", type=Path, required=True, help="Where the parts go")
    add("--nj", type=int, default=1, help="Jobs, at most")
    add(
        "--resolve",
        type=str2bool,
        default=False,
        help="Paths of wav.scp that begin at the set shall hold from here",
    )
    return parser


def run(args: argparse.Namespace) -> None:
    """Write the parts."""
    if args.nj < 1:
        raise ValueError(f"--nj {args.nj}: expected at least one job")
    jobs = split_sets(
        *(args.dump_dir, args.sets.split(), args.tables.split()),
        *(args.parts_dir, args.nj, args.resolve),
    )
    (args.parts_dir / "num_jobs").write_text(f"{jobs}\n")


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
