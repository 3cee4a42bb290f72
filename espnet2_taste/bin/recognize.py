"""Recognize spoken results, for the judge and for spoken QA.

Enters: a recognizer and folders with ``wav.scp``, whatever made them.
Leaves in each: ``text_heard`` (a line for every recording, empty where
nothing is recognized), ``text_heard.json`` (who recognized) and ``not_heard.tsv``
(recordings that cannot be read). Folders that are done are kept while their ``wav.scp``
is older.
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command
from espnet2_taste.data.parts import add_parts_argument, find_parts, set_names
from espnet2_taste.recognizers.options import LazyAligner, add_recognizer_arguments

_EXAMPLE = """example:
  python -m espnet2_taste.bin.recognize --recognizer exp/asr \\
      --folders exp/taslm_embed/continuation/prompts exp/gslm/continuation/prompts
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Recognize spoken results",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add_recognizer_arguments(parser, required=True)
    add("--folders", nargs="+", default=[], help="Folders with wav.scp")
    add("--dump_dir", type=Path, default="dump/raw", help="Where --sets are")
    add("--sets", type=set_names, default="", help="Names of sets, beside the folders")
    add_parts_argument(parser)
    add("--batch_size", type=int, default=16, help="Utterances at once")
    add("--ngpu", type=int, default=0, help="0 for the CPU")
    add("--log_level", default="INFO", help="Level of messages")
    return parser


def run(args: argparse.Namespace) -> None:
    """Recognize the folders that are not done, with one recognizer."""
    from espnet2_taste.data.set_loop import finish_sets
    from espnet2_taste.evaluation import transcripts

    def work(aligner, folder: Path) -> str:
        if args.parts_dir:
            parts = find_parts(args.parts_dir, folder.name)
            count, silent = transcripts.join_recognized(folder, parts, args.recognizer)
        else:
            count, silent = transcripts.recognize_folder(
                folder, aligner, args.recognizer, args.batch_size
            )
        return f"{count} recordings, {silent} without a word"

    finish_sets(
        "recognize",
        [
            *map(Path, args.folders),
            *(args.dump_dir / name for name in args.sets.split()),
        ],
        lambda folder: transcripts.is_recognized(folder, args.recognizer),
        lambda: LazyAligner.from_args(args),
        work,
    )


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
