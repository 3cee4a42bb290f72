"""Likelihoods of utterances under a spoken language model (stages 12 and 16).

Enters: an experiment and sets: for TASLM tokenized ones (``words``, ``codes.scp``), for
other designs ``text``, ``units`` and word times. Leaves <output_dir>/<set>/scores.tsv:
``utt`` and one column a stream (text, speech, both) and reduction (sum, mean), for
TASLM with the base LM's text beside it. A stream that a design does not have scores
zero. Finished sets are kept.
"""

import argparse
from pathlib import Path

from espnet2.utils.types import str2bool

from espnet2_taste.bin.command import run_command

_EXAMPLE = """examples:
  python -m espnet2_taste.bin.slm_score --exp exp/taslm_embed \\
      --codes_dir exp/taste_vq/codes --sets "test pairs_style" \\
      --output_dir exp/taslm_embed/likelihood
  python -m espnet2_taste.bin.slm_score --exp exp/moshi \\
      --sets "test pairs_style" --output_dir exp/moshi/likelihood
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Likelihoods of utterances under a spoken language model",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--exp", required=True, help="Experiment directory")
    add("--model_file", help="Checkpoint, default: the best one")
    add("--codes_dir", help="Parent of <set>/codes.scp, for TASLM")
    add("--dump_dir", default="dump/raw", help="Where the sets are, for other designs")
    add("--ctm", default="ctm", help="File with word times in the sets")
    add("--sets", required=True, help="Names of sets, one string")
    add("--output_dir", required=True, help="Parent of the results")
    add("--mask_other_vocab", type=str2bool, default=False, help="See AbsCore.scores")
    add("--batch_size", type=int, default=32, help="Utterances at once")
    add("--ngpu", type=int, default=0, help="0 for the CPU")
    add("--log_level", default="INFO", help="Level of messages")
    return parser


def build_scorer(args: argparse.Namespace, device: str):
    """Load the model.

    Args:
        args: Options.
        device: Where it goes.

    Returns:
        A function of names and items that scores them, and one that reads the items of
        a set by its name.

    Raises:
        ValueError: A file or an option is missing.
    """
    from espnet2_taste.data.grid_sets import read_fields
    from espnet2_taste.data.spoken_sets import read_spoken_words
    from espnet2_taste.inference.scorer import Scorer
    from espnet2_taste.tasks.load_spoken_lm import load_spoken_lm
    from espnet2_taste.text.preprocessor import TaslmPreprocessor

    model, preprocessor = load_spoken_lm(args.exp, args.model_file, device)
    scorer = Scorer(model, preprocessor, args.mask_other_vocab)
    if isinstance(preprocessor, TaslmPreprocessor):
        if not args.codes_dir:
            raise ValueError(f"{args.exp} is a TASLM: give --codes_dir (stage 9)")
        codes = Path(args.codes_dir)
        return scorer, lambda name: {
            utt: item.fields for utt, item in read_spoken_words(codes / name).items()
        }
    needs = preprocessor.layout.needs | {"units"}
    return scorer, lambda name: read_fields(Path(args.dump_dir) / name, args.ctm, needs)


def score_set(scorer, items: dict, batch_size: int) -> dict[str, dict[str, float]]:
    """Score every utterance of a set.

    Args:
        scorer: Function of names and items.
        items: By utterance id.
        batch_size: Utterances at once.

    Returns:
        Columns by name, by utterance id.
    """
    from espnet2_taste.data.set_loop import length_batches

    result = {}
    for names in length_batches(items, batch_size):
        result.update(zip(names, scorer(names, [items[name] for name in names])))
    return result


def run(args: argparse.Namespace) -> None:
    """Score the sets that are not done, with one model."""
    from espnet2_taste.data.set_loop import finish_sets
    from espnet2_taste.evaluation.slm import write_scores

    def work(tool, output: Path) -> str:
        scorer, read = tool
        scores = score_set(scorer, read(output.name), args.batch_size)
        write_scores(output / "scores.tsv", scores)
        return f"{len(scores)} utterances"

    finish_sets(
        "slm_score",
        [Path(args.output_dir) / name for name in args.sets.split()],
        lambda output: (output / "scores.tsv").is_file(),
        lambda: build_scorer(args, "cuda" if args.ngpu else "cpu"),
        work,
    )


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
