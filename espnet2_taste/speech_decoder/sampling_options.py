"""Command-line options of unit generation, the same for every command that speaks.

Enters: an argument parser; later the parsed options. Leaves: the sampler and the
length rule of ``unit_sampling`` and the window of ``reading_window``. The defaults are
the published ones, which suit 50 units a second and much data.
"""

import argparse
from typing import Any

NAMES = (
    "unit_top_k",
    "unit_temperature",
    "min_unit_ratio",
    "max_unit_ratio",
    "read_ahead",
)


def add_unit_sampling_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how units are drawn and how many there may be."""
    add = parser.add_argument
    add("--unit_top_k", type=int, default=25, help="Candidates of a unit")
    add("--unit_temperature", type=float, default=1.0, help="0 takes the best unit")
    add("--min_unit_ratio", type=float, default=2.0, help="Least units a position")
    add("--max_unit_ratio", type=float, default=20.0, help="Most units a position")
    add(
        "--read_ahead",
        type=int,
        default=0,
        help="Words after the one being said that the guided head may look at, for "
        "models trained with alignment_weight; 0 leaves it free",
    )


def unit_sampling(args: argparse.Namespace) -> dict[str, Any]:
    """Build what the options say.

    Args:
        args: Options.

    Returns:
        ``sampler``, ``length_rule`` and ``window``, arguments of ``UnitGenerator``.

    Raises:
        ValueError: An option is out of range.
    """
    from espnet2_taste.speech_decoder.reading_window import ReadingWindow
    from espnet2_taste.speech_decoder.unit_sampling import LengthRule, unit_sampler

    window = ReadingWindow(ahead=args.read_ahead) if args.read_ahead else None
    return {
        "sampler": unit_sampler(args.unit_top_k, args.unit_temperature),
        "length_rule": LengthRule(args.min_unit_ratio, args.max_unit_ratio),
        "window": window,
    }


def unit_sampling_switches(args: argparse.Namespace) -> dict[str, Any]:
    """The options by name, to be printed beside results."""
    return {name: getattr(args, name) for name in NAMES}
