"""Write imported (or further trained) experiments in the published model's layout.

Enters: the directories of ``import_reference``; single experiments may be replaced by
ones trained from them. Leaves: config.json, the same safetensors shards and the voice
generator.
"""

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

logger = logging.getLogger("export_reference")

_EXAMPLE = """example:
  python -m espnet2_taste.bin.export_reference --imported_dir exp \\
      --taslm_exp exp/taslm_tuned --output_dir downloads/taste_tuned"""
PARTS = ("taste", "taslm", "vocoder")


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Write experiments in the published model's layout",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--imported_dir", required=True, help="--output_dir of import_reference")
    add("--output_dir", required=True, help="Folder to write")
    for part in PARTS:
        add(f"--{part}_exp", help="Experiment instead of the imported one")
        add(
            f"--{part}_model_file",
            default="valid.loss.best.pth",
            help=f"Weights in --{part}_exp",
        )
    add("--log_level", default="INFO", help="Level of messages")
    return parser


def main(cmd=None) -> None:
    """Export.

    Args:
        cmd: Arguments; those of the process when None.
    """
    args = get_parser().parse_args(cmd)
    logging.basicConfig(level=args.log_level, format="%(asctime)s %(message)s")
    from espnet2_taste.reference.exporting import Experiment, export_folder, imported

    options = vars(args)
    sources = imported(Path(args.imported_dir))
    for part in PARTS:
        directory = options[f"{part}_exp"]
        if directory:
            experiment = Experiment(Path(directory), options[f"{part}_model_file"])
            sources = replace(sources, **{part: experiment})
    try:
        export_folder(sources, Path(args.output_dir))
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"export_reference: error: {error}")
    logger.info("wrote %s", args.output_dir)


if __name__ == "__main__":
    main()
