"""Listening tests: their pages, and the scores of their ratings."""

import argparse
from dataclasses import replace
from pathlib import Path

from espnet2.utils.config_argparse import ArgumentParser

from espnet2_taste.bin.command import Command, Program, add_shared, save_study
from espnet2_taste.data.ctm import read_rows, write_rows
from espnet2_taste.data.files import read_json, read_lines
from espnet2_taste.evaluation.listening.design import CONTEXT, REFERENCE, TESTS
from espnet2_taste.evaluation.listening.pages import PageOptions, write_study
from espnet2_taste.option_fields import add_field_options, from_options

NAMES = {"sample_rate": "fs"}
"""Options that are not called as the field of ``PageOptions``."""


def pages_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_pages`."""
    add = parser.add_argument

    add("--test", choices=sorted(TESTS), required=True, help="Kind of test")
    add("--systems", nargs="+", required=True, help="name=folder of each system")
    add("--reference", help="Folder of natural recordings, hidden among the others")
    add("--anchors", type=int, nargs="*", default=[], help="Hz: low-passed references")
    add("--context", help="Folder of recordings that are played before, not rated")
    add("--instructions", type=Path, help="Text file, one paragraph a line")
    add(
        "--level", type=float, default=PageOptions.level, help="RMS in dB of full scale"
    )
    add("--keep_level", action="store_true", help="Leave levels as they are")
    add_field_options(parser, PageOptions, NAMES, ("anchors", "level"))
    add("--output_dir", type=Path, required=True, help="Folder of the study")


def read_systems(args: argparse.Namespace) -> dict[str, Path]:
    """Folders by system.

    Raises:
        ValueError: A system is written differently or is there twice.
    """
    systems = {}
    for item in args.systems:
        name, _, folder = item.partition("=")
        if not name or not folder or name in (*systems, CONTEXT, REFERENCE):
            raise ValueError(
                f"--systems {item}: expected name=folder with a name of its own, other "
                f"than {REFERENCE} and {CONTEXT}"
            )
        systems[name] = Path(folder)
    if args.reference:
        systems[REFERENCE] = Path(args.reference)
    if args.context:
        systems[CONTEXT] = Path(args.context)
    return systems


def run_pages(args: argparse.Namespace) -> None:
    """Make the pages of a listening test, MOS or MUSHRA.

    Enters: folders with ``wav.scp`` of several systems over the same utterances. Leaves
    in <output_dir>: ``page/`` (send this folder, zipped, to listeners: they open
    ``index.html`` in any browser, rate, and send one file back), ``key.tsv`` (which
    recording is whose: keep it), ``study.json`` and ``left_out.tsv``. Nothing is
    fetched from the network; names give nothing away; every listener has an order of
    their own.

    Examples:
        python -m espnet2_taste.bin.listening pages --test mos --utterances 20 \\
            --systems taslm_embed=exp/taslm_embed/continuation/prompts/full \\
                      cascade=exp/cascade/continuation/prompts/full \\
            --context exp/taslm_embed/continuation/prompts/prompt --output_dir exp/mos
        python -m espnet2_taste.bin.listening pages --test mushra \\
            --reference dump/raw/test \\
            --systems taste=exp/taste_vq/resynthesis/test \\
                      text=exp/taste_text_only/resynthesis/test \\
            --output_dir exp/mushra
    """
    test = TESTS[args.test]
    if args.instructions:
        if not args.instructions.is_file():
            raise ValueError(f"--instructions: no such file: '{args.instructions}'")
        test = replace(test, instructions=tuple(read_lines(args.instructions)))
    level = None if args.keep_level else args.level
    given = vars(args) | {"anchors": tuple(args.anchors), "level": level}
    options = from_options(PageOptions, given, NAMES)
    made = write_study(args.output_dir, test, read_systems(args), options)
    recordings = len(read_rows(args.output_dir / "key.tsv"))
    left_out = len(read_rows(args.output_dir / "left_out.tsv"))
    print(
        f"{args.output_dir / 'page'}: {recordings} recordings to rate"
        + ("" if made else ", as it was")
    )
    if left_out:
        print(f"{args.output_dir / 'left_out.tsv'}: {left_out} utterances not in all")


def scores_options(parser: ArgumentParser) -> None:
    """Add the options of :func:`run_scores`."""
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
    add_shared(parser, "seed")


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


def run_scores(args: argparse.Namespace) -> None:
    """Analyze the ratings of a listening test.

    Enters: the folder of a study (``listening pages``) and the files that listeners
    sent back. Leaves in <study_dir>: ``listening.json`` (who was left out and why;
    mean, median and 95 % interval of every system and of every difference of two,
    bootstrapped over listeners and utterances; Krippendorff's alpha and the mean
    correlation of two listeners) and ``ratings.tsv`` with every single rating.

    Example:
        python -m espnet2_taste.bin.listening scores --study_dir exp/mushra \\
            --ratings exp/mushra_ratings
    """
    from espnet2_taste.evaluation.listening import results

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
    settings["bootstrap"] = "listeners x utterances"
    numbers = results.summarize(kept, args.seed) | {"left_out": left_out}
    numbers["listeners"] = len({rating.listener for rating in kept})
    path = args.study_dir / "listening.json"
    show(save_study(args, path, "listening", settings, **numbers))


main = Program(
    __doc__,
    pages=Command(run_pages, pages_options),
    scores=Command(run_scores, scores_options),
)

if __name__ == "__main__":
    main()
