"""Do two tables of word times agree about how long words last?

Enters: two ctm files of the same utterances. Leaves, printed: the scores of stage 10.

Example:
    python probe_times.py dump/raw/test/ctm_aligned exp/taste_vq/resynthesis/test/ctm
"""

import argparse
import json
from pathlib import Path

from espnet2_taste.data.ctm import read_ctm
from espnet2_taste.metrics.durations import pair_words, score_durations


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reference", type=Path)
    parser.add_argument("rendition", type=Path)
    return parser


def main(cmd: list[str] | None = None) -> None:
    """Print the scores as JSON."""
    args = get_parser().parse_args(cmd)
    pairs = pair_words(read_ctm(args.reference), read_ctm(args.rendition))
    print(json.dumps(score_durations(pairs), indent=1))


if __name__ == "__main__":
    main()
