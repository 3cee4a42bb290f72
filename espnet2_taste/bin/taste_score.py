"""Score a TASTE tokenizer and what it is compared with (stage 10).

Enters: resynthesis of the evaluation sets by each variant (units from audio, TASTE
without and with codes, text only), the codes, and the sets as stages 2 to 5 left
them. Leaves in --output_dir: ``scores.json`` (word errors by the recipe's ASR,
durations by the same aligner on both sides, F0, unit accuracy, bit rate, each with
its settings) and ``images``.

Example:
    python -m espnet2_taste.bin.taste_score --taste_exp exp/taste_vq --expdir exp \\
        --recognizer exp/asr --dump_dir dump/raw --sets "test" \\
        --output_dir exp/taste_vq/scores
"""

import argparse
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser

from espnet2_taste.bin.command import Command, add_shared, save_study
from espnet2_taste.recognizers.options import add_recognizer_arguments


def add_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run`."""
    add = parser.add_argument
    add("--taste_exp", required=True, help="TASTE with codes")
    add("--expdir", default="exp", help="Where the experiments are")
    add_recognizer_arguments(parser, required=True)
    add("--output_dir", required=True, help="Directory of the scores")
    add("--inference_model", default="valid.loss.best.pth", help="TASTE checkpoint")
    add("--tolerance", type=float, default=0.05, help="Equal durations, seconds (+-)")
    add(
        "--study",
        default="tokenizer",
        help="Name in scores.json; RESULTS.md shows 'tokenizer', tables noise any",
    )
    add("--batch_size", type=int, default=8, help="Utterances at once")
    add_shared(parser, "dump_dir", "sets", "ngpu")


def run(args: argparse.Namespace) -> None:
    """Score and write."""
    from espnet2_taste.evaluation.taste import score_tokenizer

    settings = {
        "tolerance_seconds": args.tolerance,
        "aligner": args.recognizer,
        "asr": args.recognizer,
        "inference_model": args.inference_model,
    }
    path = Path(args.output_dir) / "scores.json"
    save_study(args, path, args.study, settings, **score_tokenizer(args))
    print(f"{path} written")


main = Command(run, add_options, __doc__)

if __name__ == "__main__":
    main()
