"""Write experiments in the published model's layout.

Enters: the directories of ``import_reference``, of which single experiments may be
replaced by ones trained from them; or experiments trained here with the parts of the
published model (Whisper tokenizer and aggregator, residual quantizer). Leaves:
config.json, safetensors (after an import the same shards) and the voice generator.
"""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

from espnet2_taste.bin.command import run_command

logger = logging.getLogger("export_reference")

_EXAMPLE = """example:
  python -m espnet2_taste.bin.export_reference --imported_dir exp \\
      --taslm_exp exp/taslm_tuned --output_dir downloads/taste_tuned
  python -m espnet2_taste.bin.export_reference --taste_exp exp/taste_vq \
      --taslm_exp exp/taslm_embed --output_dir downloads/taste_of_ours"""
PARTS = ("taste", "taslm", "vocoder")


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Write experiments in the published model's layout",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--imported_dir", help="--output_dir of import_reference, if there was one")
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


def export_sources(args: argparse.Namespace):
    """Find the experiments.

    Args:
        args: Options.

    Returns:
        ``ExportSources``.

    Raises:
        ValueError: Without an import, tokenizer or spoken LM are not named.
    """
    from espnet2_taste.reference.exporting import Experiment, ExportSources, imported

    options = vars(args)
    given = {
        part: Experiment(Path(options[f"{part}_exp"]), options[f"{part}_model_file"])
        for part in PARTS
        if options[f"{part}_exp"]
    }
    if args.imported_dir:
        return replace(imported(Path(args.imported_dir)), **given)
    missing = [f"--{part}_exp" for part in PARTS[:2] if part not in given]
    if missing:
        raise ValueError(
            f"name {' and '.join(missing)}, or --imported_dir for experiments that "
            "import_reference wrote"
        )
    return ExportSources(None, **{"vocoder": None, **given})


def run(args: argparse.Namespace) -> None:
    """Export."""
    from espnet2_taste.reference.exporting import export_folder

    export_folder(export_sources(args), Path(args.output_dir))
    logger.info("wrote %s", args.output_dir)


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
