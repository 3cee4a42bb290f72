"""Score spoken question answering: is an accepted answer said after the question?

Enters: ``answers.tsv`` of a set of questions and transcripts of what a system said
after them. Leaves in <output_dir>: ``<set>.tsv`` (each question, what was said, right
or not) and ``answers.json`` with accuracy, 95 % interval and the share that another
question's answers reach.
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command

_EXAMPLE = """example:
  python -m espnet2_taste.bin.score_answers --data_dir data --sets questions \\
      --continuation_dir exp/taslm_embed/continuation --transcripts text_heard \\
      --output_dir exp/taslm_embed/answers
"""
MODULE = "espnet2_taste.bin.score_answers"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Score spoken question answering by answer containment",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data_dir", type=Path, default=Path("data"), help="Has <set>/answers.tsv")
    add("--sets", required=True, help="Names of sets, one string")
    add("--continuation_dir", type=Path, required=True, help="Parent of the sets")
    add("--transcripts", default="text_heard", help="Table with what was said")
    add("--transcript_source", help="Who wrote the transcripts, if they do not say")
    add("--output_dir", type=Path, required=True, help="Where the results go")
    return parser


def score_set(name: str, args: argparse.Namespace) -> dict:
    """Score one set.

    Args:
        name: Of the set.
        args: Options.

    Returns:
        ``AnswerScore`` fields and who wrote the transcripts.

    Raises:
        ValueError: A file is missing, or nothing was said to any question.
    """
    from dataclasses import asdict

    from espnet2_taste.data.ctm import write_rows
    from espnet2_taste.evaluation.questions import read_answers, score_answers
    from espnet2_taste.evaluation.transcripts import read_transcripts

    folder = args.continuation_dir / name
    said = read_transcripts(folder, args.transcripts, args.transcript_source)
    answers = read_answers(args.data_dir / name / "answers.tsv")
    if not answers.keys() & said.texts.keys():
        raise ValueError(
            f"{folder / args.transcripts}: it knows no question of "
            f"{args.data_dir / name}, e.g. '{next(iter(answers), '')}'; check --sets"
        )
    score, right = score_answers(answers, said.texts)
    rows = [
        (utt, " | ".join(answers[utt]), said.texts.get(utt, ""), int(is_right))
        for utt, is_right in right.items()
    ]
    args.output_dir.mkdir(parents=True, exist_ok=True)
    header = ("utt", "answers", "said", "right")
    write_rows(args.output_dir / f"{name}.tsv", header, rows)
    return asdict(score) | {"transcripts": said.source}


def run(args: argparse.Namespace, cmd=None) -> None:
    """Score every set."""
    from espnet2_taste.metrics.tables import provenance, write_json

    sets = {name: score_set(name, args) for name in args.sets.split()}
    for name, score in sets.items():
        print(
            f"{name}: {100 * score['accuracy']:.1f} % "
            f"({100 * score['low']:.1f} to {100 * score['high']:.1f}) of "
            f"{score['questions']} questions, by chance "
            f"{100 * score['by_chance']:.1f} %"
        )
    settings = {
        "match": "answer's words side by side, lower case, no punctuation or articles"
    }
    result = {"study": "answers", **provenance(MODULE, cmd, settings), "sets": sets}
    write_json(args.output_dir / "answers.json", result)


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
