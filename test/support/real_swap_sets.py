"""Pairs of real recordings that say the same words at two rates, as swap sets.

Enters: a folder of recordings with ``data/all`` and ``data/pairs.tsv`` (columns
``utt_fast``, ``utt_slow``, ``ratio`` of speech time). Leaves: ``swap_slow`` and
``swap_fast``, Kaldi-style, each with ``pairs.tsv``; the slower reading of a pair is
``<pair>-slow``. A recording is in one pair only, the one of the largest ratio first.

Example:
    python test/support/real_swap_sets.py ../shared/realspeech data --least 1.1
"""

import argparse
import csv
from pathlib import Path

from espnet2_taste.data.kaldi_dir import read_table, write_table
from espnet2_taste.text.normalizers import BasicNormalizer


def choose_pairs(path: Path, least: float) -> list[tuple[str, str]]:
    """Pairs (slow, fast) whose ratio is ``least`` or more, no recording twice."""
    with path.open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    rows.sort(key=lambda row: (-float(row["ratio"]), row["utt_slow"]))
    taken, pairs = set(), []
    for row in rows:
        names = {row["utt_slow"], row["utt_fast"]}
        if float(row["ratio"]) >= least and not names & taken:
            taken |= names
            pairs.append((row["utt_slow"], row["utt_fast"]))
    return pairs


def write_sets(source: Path, target: Path, least: float) -> None:
    """Write both sets below ``target``."""
    pairs = choose_pairs(source / "data" / "pairs.tsv", least)
    tables = {
        name: read_table(source / "data" / "all" / name)
        for name in ("wav.scp", "text", "utt2spk")
    }
    normalizer = BasicNormalizer()
    lines = ["slow\tfast"] + [f"{slow}-slow\t{slow}-fast" for slow, _ in pairs]
    for column, kind in enumerate(("slow", "fast")):
        folder = target / f"swap_{kind}"
        folder.mkdir(parents=True, exist_ok=True)
        names = {f"{pair[0]}-{kind}": pair[column] for pair in pairs}
        wav = {
            k: str((source / tables["wav.scp"][v]).resolve()) for k, v in names.items()
        }
        write_table(folder / "wav.scp", wav)
        text = {k: normalizer(tables["text"][v]) for k, v in names.items()}
        write_table(folder / "text", text)
        write_table(
            folder / "utt2spk", {k: tables["utt2spk"][v] for k, v in names.items()}
        )
        (folder / "pairs.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--least", type=float, default=1.1)
    options = parser.parse_args()
    write_sets(options.source, options.target, options.least)
