"""Write down what is heard in spoken results, for the judge and for spoken QA.

Enters: an ESPnet ASR experiment and folders with ``wav.scp``, whatever made them.
Leaves in each: ``text_heard`` (greedy CTC, a line for every recording, empty where
nothing is heard), ``text_heard.json`` (who recognized) and ``not_heard.tsv``
(recordings that cannot be read). Folders that are done are kept while their ``wav.scp``
is older.
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command

_EXAMPLE = """example:
  python -m espnet2_taste.bin.recognize --asr_exp exp/asr \\
      --folders exp/taslm_embed/continuation/prompts exp/gslm/continuation/prompts
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Write down what is heard in spoken results",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--asr_exp", required=True, help="ASR experiment directory")
    add("--asr_model_file", help="Checkpoint, default: the usual one")
    add("--folders", nargs="+", required=True, help="Folders with wav.scp")
    add("--batch_size", type=int, default=16, help="Utterances at once")
    add("--ngpu", type=int, default=0, help="0 for the CPU")
    add("--log_level", default="INFO", help="Level of messages")
    return parser


def run(args: argparse.Namespace) -> None:
    """Recognize the folders that are not done, with one recognizer."""
    from espnet2_taste.data.set_loop import finish_sets
    from espnet2_taste.evaluation.taste import LazyAligner
    from espnet2_taste.evaluation.transcripts import is_recognized, recognize_folder

    def load():
        device = "cuda" if args.ngpu else "cpu"
        return LazyAligner(args.asr_exp, args.asr_model_file, device)

    def work(aligner, folder: Path) -> str:
        count, silent = recognize_folder(folder, aligner, args.asr_exp, args.batch_size)
        return f"{count} recordings, {silent} without a word"

    finish_sets(
        "recognize",
        [Path(folder) for folder in args.folders],
        lambda folder: is_recognized(folder, args.asr_exp),
        load,
        work,
    )


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
