"""Make a set of spoken questions, of recordings or of sentence pairs.

Enters: a folder with ``questions.tsv`` (``utt``, ``question``, ``answer``, one line an
accepted answer) and ``<utt>.wav``; or, with ``--cloze``, a set with ``pairs.tsv`` and
``ctm`` whose pairs differ in their ending: the beginning is the question, the better
ending the answer. Leaves a Kaldi-style set whose whole utterances are prompts
(``prompt_words``), with ``answers.tsv`` for ``score_answers``.
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command

_EXAMPLE = """example:
  python -m espnet2_taste.bin.import_questions --source /corpora/web_questions \\
      --output_dir data/web_questions
  python -m espnet2_taste.bin.import_questions --source data/pairs_coherent --cloze \\
      --sentences data/train/text --output_dir data/questions
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Make a set of spoken questions",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--source", type=Path, required=True, help="Folder of questions, or a set")
    add("--cloze", action="store_true", help="The source is a set of sentence pairs")
    add(
        "--sentences",
        type=Path,
        help="With --cloze: table of texts; endings that share a line of it are "
        "accepted for one another",
    )
    add("--output_dir", type=Path, required=True, help="The set's folder")
    return parser


def run(args: argparse.Namespace) -> None:
    """Write the set, unless it is there."""
    from espnet2_taste.data.finished import digest
    from espnet2_taste.data.kaldi_dir import read_table
    from espnet2_taste.evaluation.question_sets import (
        read_clozes,
        read_questions,
        write_question_set,
    )

    if args.sentences and not args.cloze:
        raise ValueError("--sentences is for --cloze: give both or neither")
    if args.cloze:
        table = read_table(args.sentences) if args.sentences else {}
        questions = read_clozes(args.source, [t.split() for t in table.values()])
    else:
        questions = read_questions(args.source)
    names = ("questions.tsv", "pairs.tsv", "ctm", "text")
    files = [args.source / name for name in names]
    record = {
        "tables": digest([*files, args.sentences or ""], contents=True),
        "audio": digest([item.audio for item in questions], contents=False),
    }
    made = write_question_set(args.output_dir, questions, record)
    state = "" if made else ", as it was"
    print(f"{args.output_dir}: {len(questions)} questions{state}")


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
