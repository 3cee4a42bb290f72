"""Run an ESPnet training so that it may be killed at any moment and go on later.

Enters: the module of a training command and its options. Leaves: what it leaves;
checkpoints are written whole, and what an earlier kill left undone is completed first.
"""

import argparse
import importlib
import sys

_EXAMPLE = """example:
  python -m espnet2_taste.bin.train espnet2.bin.asr_train --resume true \\
      --output_dir exp/asr --config conf/train_asr.yaml ...
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Run an ESPnet training that may be killed and go on later",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "module", help="Module with a main(cmd), as espnet2.bin.*_train"
    )
    parser.add_argument("--output_dir", required=True, help="Experiment directory")
    return parser


def main(cmd: list[str] | None = None) -> None:
    """Run the command."""
    cmd = list(sys.argv[1:] if cmd is None else cmd)
    args, _ = get_parser().parse_known_args(cmd)
    from espnet2_taste.resuming import complete_epoch, whole_files

    try:
        complete_epoch(args.output_dir)
    except RuntimeError as error:
        sys.exit(f"train: error: {error}")
    cmd.remove(args.module)
    with whole_files():
        importlib.import_module(args.module).main(cmd=cmd)


if __name__ == "__main__":
    main()
