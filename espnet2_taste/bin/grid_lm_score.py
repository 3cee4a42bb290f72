"""Likelihoods of utterances under any design of the comparison.

Enters: the experiment of a design and sets with ``text``, ``units`` and word times.
Leaves <output_dir>/<set>/scores.tsv: ``utt`` and one column a stream (text, speech,
both) and reduction (sum, mean), as ``taslm_score`` writes them. A stream that a design
does not have scores zero. Finished sets are kept.
"""

import argparse
from pathlib import Path

from espnet2.utils.types import str2bool

from espnet2_taste.bin.command import run_command

_EXAMPLE = """example:
  python -m espnet2_taste.bin.grid_lm_score --exp exp/moshi \\
      --sets "test pairs_style" --output_dir exp/moshi/likelihood
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Likelihoods of utterances under any design",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--exp", required=True, help="Experiment directory")
    add("--model_file", help="Checkpoint, default: the best one")
    add("--dump_dir", default="dump/raw", help="Where the sets are")
    add("--sets", required=True, help="Names of sets, one string")
    add("--ctm", default="ctm", help="File with word times in the sets")
    add("--output_dir", required=True, help="Parent of the results")
    add("--mask_other_vocab", type=str2bool, default=False, help="See score_grids")
    add("--batch_size", type=int, default=32, help="Utterances at once")
    add("--ngpu", type=int, default=0, help="0 for the CPU")
    return parser


def score_set(scorer, folder: Path, args: argparse.Namespace) -> dict:
    """Score every utterance of a set.

    Args:
        scorer: ``GridScorer``.
        folder: The set.
        args: Options.

    Returns:
        Columns by name, by utterance id.
    """
    from espnet2_taste.slm.grid_sets import read_fields

    needs = scorer.preprocessor.layout.needs | {"units"}
    fields = read_fields(folder, args.ctm, needs)
    order = sorted(fields, key=lambda name: (-len(fields[name]["units"]), name))
    result = {}
    for start in range(0, len(order), args.batch_size):
        names = order[start : start + args.batch_size]
        scores = scorer(names, [fields[name] for name in names])
        result.update(zip(names, scores))
    return result


def run(args: argparse.Namespace) -> None:
    """Score the sets that are not done, with one model."""
    outputs = {n: Path(args.output_dir) / n / "scores.tsv" for n in args.sets.split()}
    waiting = {name: path for name, path in outputs.items() if not path.is_file()}
    if not waiting:
        print("grid_lm_score: all sets are done")
        return
    from espnet2_taste.evaluation.slm import write_scores
    from espnet2_taste.slm.grid_inference import GridScorer, load_grid_lm_exp

    device = "cuda" if args.ngpu else "cpu"
    loaded = load_grid_lm_exp(args.exp, args.model_file, device)
    scorer = GridScorer(*loaded, args.mask_other_vocab)
    for name, path in waiting.items():
        scores = score_set(scorer, Path(args.dump_dir) / name, args)
        write_scores(path, scores)
        print(f"{path}: {len(scores)} utterances")


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
