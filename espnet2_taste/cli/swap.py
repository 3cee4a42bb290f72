"""``espnet2-taste swap``: exchange word codes between utterances and speak them."""

import argparse
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from espnet2_taste.cli import arguments, sources
from espnet2_taste.cli.jobs import ModelJob
from espnet2_taste.cli.parts import Outcome
from espnet2_taste.cli.resynthesize import SpeakJob
from espnet2_taste.data.files import read_lines

SUMMARY = "exchange the codes of words between two readings of a text, and speak both"
EXAMPLE = """examples:
  espnet2-taste swap --model taste.zip --codes tokens --first slow1 --second fast1 \\
      --words 2 5 --output swapped
  espnet2-taste swap --model taste.zip --codes tokens --pairs pairs --output swapped

A line of --pairs is 'first second' or 'first second 2,5' (words count from 0; all are
exchanged where none is named). --output receives, for each pair, the utterances
'first+second' (the first with codes of the second) and 'second+first'.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    arguments.add(parser, *arguments.SPOKEN)
    add = parser.add_argument
    add("--first", metavar="ID", help="Utterance id")
    add("--second", metavar="ID", help="Utterance id of another reading of its text")
    add(
        "--words",
        type=arguments.number(int, 0),
        nargs="+",
        help="Words that are exchanged, counted from 0 (default: all)",
    )
    add("--pairs", metavar="FILE", help="Many pairs, instead of --first and --second")


@dataclass(frozen=True)
class Pair:
    """Two utterances and the words to exchange.

    Attributes:
        first: Keeps its words and speaker.
        second: Gives codes.
        words: Places; None for all.
    """

    first: str
    second: str
    words: tuple[int, ...] | None


@dataclass(frozen=True)
class SwapJob(SpeakJob):
    """Speaks utterances with codes of others.

    Attributes:
        pairs: By name of the result.
        known: Ids of the given utterances.
    """

    pairs: Mapping[str, Pair]
    known: Collection[str]

    def process(self, model, names):
        """See ``ModelJob.process``."""
        pairs = [self.pairs[name] for name in names]
        firsts, seconds = [p.first for p in pairs], [p.second for p in pairs]
        for name in (*firsts, *seconds):
            if name not in self.known:
                raise ValueError(f"utterance '{name}' does not exist")
        own, other = (self.given.items(model, each) for each in (firsts, seconds))
        mixed = [
            model.swap(a, b, pair.words)[0] for a, b, pair in zip(own, other, pairs)
        ]
        voices = self.given.voices(model, firsts)
        speech = model.decode_batch(mixed, voices, firsts)
        return [(item, None, spoken) for item, spoken in zip(mixed, speech)]

    write = ModelJob.write  # the codes are new ones


def read_pairs(args: argparse.Namespace) -> dict[str, Pair]:
    """Both directions of every pair.

    Args:
        args: Options.

    Returns:
        By name of the result.

    Raises:
        ValueError: No pair is named, or a line is malformed.
    """
    words = None if args.words is None else tuple(args.words)
    rows = [(args.first, args.second, words)] if args.first and args.second else []
    if args.pairs:
        rows += [_parse(line, args.pairs) for line in read_lines(args.pairs)]
    if not rows:
        raise ValueError("give --first and --second, or --pairs with at least a line")
    result = {}
    for first, second, places in rows:
        result[f"{first}+{second}"] = Pair(first, second, places)
        result[f"{second}+{first}"] = Pair(second, first, places)
    return result


def _parse(line: str, path: str) -> tuple[str, str, tuple[int, ...] | None]:
    try:
        first, second, *rest = line.split()
        return first, second, tuple(map(int, rest[0].split(","))) if rest else None
    except ValueError as error:
        raise ValueError(
            f"{path}: expected 'first second' or 'first second 2,5', found '{line}'"
        ) from error


def run(args: argparse.Namespace) -> Outcome:
    """Run the sub-command."""
    source, sampling = sources.source_of(args), arguments.sampling_of(args)
    pairs = read_pairs(args)
    digests = source.inputs
    inputs = {
        name: arguments.digest_values(
            pair, digests.get(pair.first), digests.get(pair.second)
        )
        for name, pair in pairs.items()
    }
    named = ["first", "second", "words", "pairs"]
    options, fields = {"sampling": sampling}, {"pairs": pairs, "known": set(digests)}
    return SwapJob.from_args(args, source, options, named, **fields).run(args, inputs)
