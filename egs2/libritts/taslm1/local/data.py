"""Write LibriTTS, LibriSpeech or both as Kaldi-style sets.

Enters: folders of the corpora, each with its parts (``train-clean-100``, ...) or with
``LibriTTS`` or ``LibriSpeech`` above them. Leaves: data/train, data/dev and data/test
with the parts of ``--train``, ``--valid`` and ``--test``, separated by spaces.

Example:
    python local/data.py --libritts /corpora/LibriTTS --output_dir data
"""

import argparse
import sys
from pathlib import Path

from espnet2_taste.data.corpora import librispeech_rows, libritts_rows, read_part
from espnet2_taste.data.kaldi_dir import KaldiDir, write_kaldi_dir

TRAIN = "train-clean-100 train-clean-360 train-other-500"


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--libritts", type=Path, help="Folder of LibriTTS")
    add("--librispeech", type=Path, help="Folder of LibriSpeech, beside or instead")
    add("--train", default=TRAIN, help="Parts of data/train, one string")
    add("--valid", default="dev-clean", help="Parts of data/dev")
    add("--test", default="test-clean", help="Parts of data/test")
    add("--output_dir", type=Path, default=Path("data"))
    return parser


def read_parts(parts: list[tuple[Path, object]], names: list[str]) -> KaldiDir:
    """Read the parts of a set from every corpus.

    Args:
        parts: Folder of each corpus and how its chapters are read.
        names: Parts.

    Returns:
        Their tables in one.

    Raises:
        ValueError: A part is missing in a corpus.
    """
    joined = KaldiDir({}, {}, {})
    for corpus, rows in parts:
        for name in names:
            found = read_part(corpus / name, rows)
            joined.wav.update(found.wav)
            joined.text.update(found.text)
            joined.utt2spk.update(found.utt2spk)
    return joined


def main(cmd: list[str] | None = None) -> None:
    """Write the sets."""
    args = get_parser().parse_args(cmd)
    given = [
        (args.libritts, "LibriTTS", libritts_rows),
        (args.librispeech, "LibriSpeech", librispeech_rows),
    ]
    corpora = [
        (place / name if (place / name).is_dir() else place, rows)
        for place, name, rows in given
        if place
    ]
    if not corpora:
        sys.exit("data.py: error: set LIBRITTS or LIBRISPEECH in db.sh to a folder")
    try:
        for name, parts in (
            ("train", args.train),
            ("dev", args.valid),
            ("test", args.test),
        ):
            tables = read_parts(corpora, parts.split())
            write_kaldi_dir(args.output_dir / name, tables)
    except (ValueError, OSError) as error:
        sys.exit(f"data.py: error: {error}")


if __name__ == "__main__":
    main()
