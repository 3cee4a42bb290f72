#!/usr/bin/env python3
"""Score every design of a comparison by the same measures (stage 16).

Enters: experiment directories, one a seed, each with the continuations and
likelihoods of the designs. Leaves <output_dir>/scores.json: for each design pair
accuracies, perplexity and tempo of its recognized continuations, and answers to
spoken questions, over the seeds; and a picture of them. A design that lacks something
is shown without it.
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command
from espnet2_taste.recognizers.options import LazyAligner, add_recognizer_arguments
from espnet2_taste.tasks.arguments import add_word_arguments, word_options

_EXAMPLE = """example:
  python -m espnet2_taste.bin.systems_evaluate --expdirs "exp exp_seed1" \\
      --names "taslm_embed gslm moshi cascade" --lm exp/llm_base --recognizer exp/asr \\
      --prompt_set prompts --pair_sets "pairs_style pairs_voice pairs_coherent" \\
      --output_dir exp/systems_scores
"""
MODULE = "espnet2_taste.bin.systems_evaluate"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Score every design of a comparison by the same measures",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--expdirs", default="exp", help="Parents of the experiments, one a seed")
    add("--names", required=True, help="Designs below --expdirs, one string")
    add("--study", default="systems", help="Its name in RESULTS.md")
    add("--dump_dir", default="dump/raw", help="Where the sets are")
    add("--prompt_set", default="prompts", help="Set that was continued")
    add("--pair_sets", default="", help="Sets with pairs.tsv, one string")
    add("--question_set", default="", help="Set with answers.tsv that was continued")
    add("--lm", required=True, help="Text LM that reads what is recognized")
    add_recognizer_arguments(parser, required=True)
    add("--budgets", help="Table of budget_table, shown beside the scores")
    add("--output_dir", required=True, help="Receives scores.json")
    add("--ngpu", type=int, default=0, help="0 for the CPU")
    add_word_arguments(parser)
    return parser


def score_runs(args: argparse.Namespace) -> dict[str, dict]:
    """Scores of each design over the seeds.

    Args:
        args: Options.

    Returns:
        See ``merge_seeds``, by design.

    Raises:
        ValueError: None of the designs was found.
    """
    from espnet2_taste.evaluation import systems

    dump = Path(args.dump_dir)
    aligner = LazyAligner.from_args(args)
    reader = systems.ContinuationReader.from_dir(args.lm, **word_options(args))
    found: dict[str, list[dict]] = {}
    for name in args.names.split():
        for parent in args.expdirs.split():
            exp = Path(parent) / name
            continued = exp / "continuation" / args.prompt_set
            if not (continued / "wav.scp").is_file():
                continue
            prompts = dump / args.prompt_set
            scores = systems.score_continuations(
                continued, prompts, aligner, args.recognizer, reader
            )
            scores["pairs"] = systems.score_pair_sets(
                exp / "likelihood", dump, args.pair_sets.split()
            )
            asked = exp / "continuation" / args.question_set
            if args.question_set and (asked / "wav.scp").is_file():
                recognized = systems.recognize_continuations(
                    asked, aligner, args.recognizer
                )
                scores["answers"] = systems.answer_questions(
                    recognized, dump / args.question_set
                )
            found.setdefault(Path(name).name, []).append(scores)
    if not found:
        raise ValueError(
            f"no continuation/{args.prompt_set} of {args.names} below {args.expdirs}: "
            "run stage 12 for TASLM and stage 16 for the other designs"
        )
    return {name: systems.merge_seeds(runs) for name, runs in found.items()}


def run(args: argparse.Namespace, cmd=None) -> None:
    """Score all designs and write the study."""
    from espnet2_taste.data.ctm import read_rows
    from espnet2_taste.evaluation.systems_report import systems_points
    from espnet2_taste.metrics.plots import plot_designs
    from espnet2_taste.metrics.tables import provenance, write_json

    settings = {
        "asr": args.recognizer,
        "text_lm": args.lm,
        "pair_score": "both_mean",
        "seeds": len(args.expdirs.split()),
    }
    result = {"study": args.study, **provenance(MODULE, cmd, settings)}
    result["designs"] = score_runs(args)
    if args.budgets:
        result["budgets"] = {row["design"]: row for row in read_rows(args.budgets)}
    output = Path(args.output_dir) / "scores.json"
    write_json(output, result)
    points = systems_points(result["designs"])
    plot_designs(output.parent / "images" / "designs.png", points)
    print(f"{output} written: {', '.join(result['designs'])}")


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, lambda args: run(args, cmd), cmd)


if __name__ == "__main__":
    main()
