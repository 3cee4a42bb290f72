"""Likelihoods of utterances under a spoken language model (stage 12).

Enters: a TASLM experiment and tokenized sets (``words``, ``codes.scp``). Leaves
<output_dir>/<set>/scores.tsv: ``utt`` and one column a stream (text, speech, both) and
reduction (sum, mean), with the base LM's text beside it. Finished sets are kept.
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command

_EXAMPLE = """example:
  python -m espnet2_taste.bin.taslm_score --taslm_exp exp/taslm_embed \\
      --codes_dir exp/taste_vq/codes --sets "test pairs_style" \\
      --output_dir exp/taslm_embed/likelihood
"""


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Likelihoods of utterances under a spoken language model",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--taslm_exp", required=True, help="TASLM experiment directory")
    parser.add_argument("--model_file", help="Checkpoint, default: the best one")
    parser.add_argument("--codes_dir", required=True, help="Parent of <set>/codes.scp")
    parser.add_argument("--sets", required=True, help="Names of sets, one string")
    parser.add_argument("--output_dir", required=True, help="Parent of the results")
    parser.add_argument("--batch_size", type=int, default=32, help="Utterances at once")
    parser.add_argument("--ngpu", type=int, default=0, help="0 for the CPU")
    parser.add_argument("--log_level", default="INFO", help="Level of messages")
    return parser


def score_set(scorer, folder: Path, batch_size: int) -> dict[str, dict[str, float]]:
    """Score every utterance of a set.

    Args:
        scorer: ``TaslmScorer``.
        folder: Tokenized set.
        batch_size: Utterances at once.

    Returns:
        Columns by name, by utterance id.
    """
    from espnet2_taste.slm.inference import length_batches, read_spoken_words

    items = read_spoken_words(folder)
    result = {}
    for names in length_batches(items, batch_size):
        result.update(zip(names, scorer(names, [items[name] for name in names])))
    return result


def run(args: argparse.Namespace) -> None:
    """Score the sets that are not done, with one model."""
    outputs = {n: Path(args.output_dir) / n / "scores.tsv" for n in args.sets.split()}
    waiting = {name: path for name, path in outputs.items() if not path.is_file()}
    if not waiting:
        print("taslm_score: all sets are done")
        return
    from espnet2_taste.evaluation.slm import write_scores
    from espnet2_taste.slm.inference import TaslmScorer, load_taslm_exp

    device = "cuda" if args.ngpu else "cpu"
    scorer = TaslmScorer(*load_taslm_exp(args.taslm_exp, args.model_file, device))
    for name, path in waiting.items():
        scores = score_set(scorer, Path(args.codes_dir) / name, args.batch_size)
        write_scores(path, scores)
        print(f"{path}: {len(scores)} utterances")


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
