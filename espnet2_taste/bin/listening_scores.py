"""Analyze the ratings of a listening test.

Enters: the folder of a study (``listening_pages``) and the files that listeners sent
back. Leaves in <study_dir>: ``listening.json`` (who was left out and why; mean, median
and 95 % interval of every system and of every difference of two, bootstrapped over
listeners and utterances; Krippendorff's alpha and the mean correlation of two
listeners) and ``ratings.tsv`` with every single rating.
"""

import argparse
from pathlib import Path

from espnet2_taste.bin.command import run_command

_EXAMPLE = """example:
  python -m espnet2_taste.bin.listening_scores --study_dir exp/mushra \\
      --ratings exp/mushra_ratings
"""
MODULE = "espnet2_taste.bin.listening_scores"


def get_parser() -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        description="Analyze the ratings of a listening test",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--study_dir", type=Path, required=True, help="Folder of the study")
    add("--ratings", type=Path, required=True, help="Folder of listeners' JSON files")
    add(
        "--reference_below",
        type=float,
        help="A hidden reference rated lower is missed; default: 90 of 100, 3 of 5",
    )
    add(
        "--most_missed",
        type=float,
        default=0.15,
        help="Share of missed references that is still accepted",
    )
    add("--seed", type=int, default=0, help="Of the bootstrap")
    return parser


def show(result: dict) -> None:
    """Print systems, agreement and who was left out."""
    for name, reason in result["left_out"].items():
        print(f"left out: {name} {reason}")
    print(f"{'system':24} {'ratings':>7} {'mean':>7}  95 % interval")
    for name, system in result["systems"].items():
        print(
            f"{name:24} {system['ratings']:7d} {system['mean']:7.2f}  "
            f"{system['low']:.2f} to {system['high']:.2f}"
        )
    alpha = result["agreement"]["krippendorff_alpha_interval"]
    print(f"{result['listeners']} listeners, Krippendorff's alpha {alpha:.2f}")


def run(args: argparse.Namespace, cmd=None) -> None:
    """Analyze a study and write the results."""
    from espnet2_taste.data.ctm import write_rows
    from espnet2_taste.data.files import read_json
    from espnet2_taste.evaluation.listening import results
    from espnet2_taste.metrics.tables import provenance, write_json

    ratings = results.read_ratings(args.study_dir, sorted(args.ratings.glob("*.json")))
    below = args.reference_below
    if below is None:
        below = read_json(args.study_dir / "study.json")["reference_below"]
    left_out = results.screen(ratings, below, args.most_missed)
    kept = [rating for rating in ratings if rating.listener not in left_out]
    rows = [
        (r.listener, r.system, r.utterance, f"{r.score:g}", r.listener not in left_out)
        for r in ratings
    ]
    header = ("listener", "system", "utt", "score", "kept")
    write_rows(args.study_dir / "ratings.tsv", header, rows)
    settings = {"reference_below": below, "most_missed": args.most_missed}
    result = {
        "study": "listening",
        **provenance(MODULE, cmd, settings | {"bootstrap": "listeners x utterances"}),
        "listeners": len({rating.listener for rating in kept}),
        "left_out": left_out,
        **results.summarize(kept, args.seed),
    }
    write_json(args.study_dir / "listening.json", result)
    show(result)


def main(cmd=None) -> None:
    """Run the command."""
    run_command(get_parser, run, cmd)


if __name__ == "__main__":
    main()
