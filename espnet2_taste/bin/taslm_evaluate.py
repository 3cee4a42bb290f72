#!/usr/bin/env python3
"""Score the spoken language models of a recipe (stage 13).

Enters: likelihoods and continuations that stage 12 made for every ``taslm_*``
experiment. Leaves <expdir>/taslm_scores/scores.json: text perplexity against the base
LM, pair accuracies with intervals, and how the tempo follows the prompt.
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command
from espnet2_taste.recognizers.options import LazyAligner, add_recognizer_arguments

_EXAMPLE = """example:
  python -m espnet2_taste.bin.taslm_evaluate --expdir exp --dump_dir dump/raw \\
      --test_sets test --pair_sets "pairs_style pairs_voice pairs_coherent" \\
      --prompt_sets prompts --recognizer exp/asr
"""
MODULE = "espnet2_taste.bin.taslm_evaluate"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Score the spoken language models of a recipe",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--expdir", default="exp", help="Where the experiments are")
    parser.add_argument("--dump_dir", default="dump/raw", help="Where the sets are")
    parser.add_argument("--test_sets", default="test", help="Sets for perplexity")
    parser.add_argument("--pair_sets", default="", help="Sets with pairs.tsv")
    parser.add_argument(
        "--prompt_sets", default="", help="Sets that were continued, default: test_sets"
    )
    add_recognizer_arguments(parser, required=True)
    parser.add_argument(
        "--pair_score",
        default="both_mean",
        help="Column of scores.tsv that decides a pair",
    )
    parser.add_argument("--ngpu", type=int, default=0, help="0 for the CPU")
    parser.add_argument("--log_level", default="INFO", help="Level of messages")
    return parser


def evaluate(exp: Path, args: argparse.Namespace, aligner) -> dict:
    """Scores of one model.

    Args:
        exp: Its experiment directory.
        args: Options.
        aligner: Function that gives the aligner.

    Returns:
        ``perplexity``, ``rate`` and ``continuation`` of the first set of each kind,
        ``pairs`` by set, and ``pairs_by_reduction`` with every column.
    """
    from espnet2_taste.evaluation import slm

    dump, test = Path(args.dump_dir), args.test_sets.split()[0]
    scores = slm.read_scores(exp / "likelihood" / test / "scores.tsv")
    result = {"perplexity": slm.compare_perplexity(scores), "pairs": {}}
    result["pairs_by_reduction"] = {}
    for name in args.pair_sets.split():
        by_column = slm.score_pair_set(exp / "likelihood", dump, name)
        if args.pair_score not in by_column:
            raise ValueError(
                f"--pair_score {args.pair_score}: scores.tsv has {', '.join(by_column)}"
            )
        result["pairs"][name] = by_column[args.pair_score]
        result["pairs_by_reduction"][name] = by_column
    prompts = (args.prompt_sets or args.test_sets).split()[0]
    continued = exp / "continuation" / prompts
    result["rate"] = slm.score_rates(dump / prompts, continued, aligner)
    result["continuation"] = slm.score_words(continued, aligner)
    return result


def run(args: argparse.Namespace, cmd=None) -> None:
    """Score every model of the recipe."""
    from espnet2_taste.experiment_files import current
    from espnet2_taste.metrics.tables import provenance, write_json

    expdir = Path(args.expdir)
    exps = [p.parent for p in current(expdir.glob("taslm_*/likelihood"), expdir)]
    if not exps:
        raise ValueError(f"no taslm_*/likelihood below {expdir}: run stage 12 first")
    aligner = LazyAligner.from_args(args)
    models = {exp.name: evaluate(exp, args, aligner) for exp in exps}
    settings = {"pair_score": args.pair_score, "aligner": args.recognizer}
    result = {"study": "slm", **provenance(MODULE, cmd, settings), "models": models}
    output = expdir / "taslm_scores" / "scores.json"
    write_json(output, result)
    print(f"{output} written")


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, lambda args: run(args, cmd), cmd)


if __name__ == "__main__":
    main()
