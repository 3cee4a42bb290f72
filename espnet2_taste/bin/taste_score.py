#!/usr/bin/env python3
"""Score a TASTE tokenizer and what it is compared with (stage 10).

Enters: resynthesis of the evaluation sets by each variant (units from audio, TASTE
without and with codes, text only), the codes, and the sets as stages 2 to 5 left
them. Leaves in --output_dir: ``scores.json`` (word errors by the recipe's ASR,
durations by the same aligner on both sides, F0, unit accuracy, bit rate, each with
its settings) and ``images``.
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command
from espnet2_taste.recognizers.options import add_recognizer_arguments

_EXAMPLE = """example:
  python -m espnet2_taste.bin.taste_score --taste_exp exp/taste_vq --expdir exp \\
      --recognizer exp/asr --dump_dir dump/raw --sets "test" \\
      --output_dir exp/taste_vq/scores
"""
MODULE = "espnet2_taste.bin.taste_score"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Score a TASTE tokenizer and what it is compared with",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--taste_exp", required=True, help="TASTE with codes")
    parser.add_argument("--expdir", default="exp", help="Where the experiments are")
    add_recognizer_arguments(parser, required=True)
    parser.add_argument("--dump_dir", default="dump/raw", help="Where the sets are")
    parser.add_argument("--sets", required=True, help="Names of sets, one string")
    parser.add_argument("--output_dir", required=True, help="Directory of the scores")
    parser.add_argument(
        "--inference_model", default="valid.loss.best.pth", help="TASTE checkpoint"
    )
    parser.add_argument(
        "--tolerance", type=float, default=0.05, help="Equal durations, seconds (+-)"
    )
    parser.add_argument(
        "--study",
        default="tokenizer",
        help="Name in scores.json; RESULTS.md shows 'tokenizer', noise_table any",
    )
    parser.add_argument("--batch_size", type=int, default=8, help="Utterances at once")
    parser.add_argument("--ngpu", type=int, default=0, help="0 for the CPU")
    parser.add_argument("--log_level", default="INFO", help="Level of messages")
    return parser


def run(args: argparse.Namespace, cmd=None) -> None:
    """Score and write."""
    from espnet2_taste.evaluation.taste import score_tokenizer
    from espnet2_taste.metrics.tables import provenance, write_json

    settings = {
        "tolerance_seconds": args.tolerance,
        "aligner": args.recognizer,
        "asr": args.recognizer,
        "inference_model": args.inference_model,
    }
    scores = score_tokenizer(args)
    result = {"study": args.study, **provenance(MODULE, cmd, settings), **scores}
    write_json(Path(args.output_dir) / "scores.json", result)
    print(f"{Path(args.output_dir) / 'scores.json'} written")


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, lambda args: run(args, cmd), cmd)


if __name__ == "__main__":
    main()
