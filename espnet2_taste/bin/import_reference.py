"""Turn a local folder of the published model into experiment directories.

Enters: a folder in the published layout. Leaves: ``taste_vq``, ``taslm_embed`` (or
``taslm_token``) and ``unit_vocoder``, which inference and training load like any
other, and the frozen parts beside them.
"""

import argparse
import logging
from pathlib import Path

from espnet2_taste.bin.command import run_command

logger = logging.getLogger("import_reference")

_EXAMPLE = """example:
  python -m espnet2_taste.bin.import_reference --source downloads/taste \\
      --whisper downloads/distil-large-v3 --llm downloads/llama-3.2-1b \\
      --output_dir exp"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Turn the published model into experiment directories",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--source", required=True, help="Folder with config.json and safetensors")
    add("--whisper", required=True, help="config.json and tokenizer of its Whisper")
    add("--llm", required=True, help="Tokenizer of its text LM")
    add("--output_dir", required=True, help="Receives the experiment directories")
    add(
        "--reference_compat",
        action="store_true",
        help="Keep the published rules where ours differ (test/README.md lists them)",
    )
    add(
        "--vocoder_config",
        help="YAML laid over the options read from the voice generator's shapes, "
        "e.g. the heads of its estimator",
    )
    add("--log_level", default="INFO", help="Level of messages")
    return parser


def run(args: argparse.Namespace) -> None:
    """Import."""
    from espnet2_taste.data.files import read_yaml
    from espnet2_taste.reference.importing import ImportOptions, import_folder

    changes = {}
    if args.vocoder_config:
        changes = read_yaml(args.vocoder_config)
    options = ImportOptions(
        Path(args.whisper), Path(args.llm), args.reference_compat, changes
    )
    for directory in import_folder(Path(args.source), Path(args.output_dir), options):
        logger.info("wrote %s", directory)


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
