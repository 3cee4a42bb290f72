"""Bring the audio of sets into one form and leave out what cannot be used (stage 2).

Enters: Kaldi-style sets; ``wav.scp`` names audio files, places in ark files
(``a.ark:123``) or commands (``flac -c -d -s a.flac |``), which are run here, and
``segments`` cuts recordings. Leaves: the same sets with
mono wav files of 16 bit at one rate, ``utt2num_samples`` and ``dropped.tsv`` (utterance
and reason). A set made from the same tables, audio and options is kept.
"""

import argparse
import logging
from pathlib import Path

from espnet2_taste.bin.command import run_command
from espnet2_taste.data.parts import (
    add_parts_argument,
    find_parts,
    is_part,
    set_names,
)

_EXAMPLE = """examples:
  python -m espnet2_taste.bin.format_audio --data_dir data/train \\
      --output_dir dump/raw/train --fs 16000
  python -m espnet2_taste.bin.format_audio --data_dir data --output_dir dump/raw \\
      --sets "train dev test"
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Bring the audio of sets into one form",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data_dir", type=Path, required=True, help="A set")
    parser.add_argument("--output_dir", type=Path, required=True, help="Set to make")
    parser.add_argument(
        "--sets",
        type=set_names,
        default="",
        help="Names of sets, one string; --data_dir and --output_dir then hold sets",
    )
    add_parts_argument(parser)
    parser.add_argument("--fs", type=int, default=16000, help="Samples a second")
    parser.add_argument("--min_duration", type=float, default=0.3, help="Seconds")
    parser.add_argument("--max_duration", type=float, default=30.0, help="Seconds")
    parser.add_argument("--log_level", default="INFO", help="Level of messages")
    return parser


def run(args: argparse.Namespace) -> None:
    """Write the sets in one form."""
    from espnet2_taste.data import formatting

    form = formatting.AudioForm(args.fs, args.min_duration, args.max_duration)
    for name in args.sets.split() or [""]:
        source, target = args.data_dir / name, args.output_dir / name
        if args.parts_dir:
            parts = find_parts(args.parts_dir, name)
            result = formatting.join_formatted(source, target, parts)
        else:
            result = formatting.format_set(source, target, form, is_part(name))
        logging.info(
            "%s: %d utterances%s, %d left out (%s)",
            target,
            result.kept,
            "" if result.made else ", as they were",
            result.dropped,
            target / "dropped.tsv",
        )


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
