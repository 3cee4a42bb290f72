"""Write Mini LibriSpeech (SLR31) as Kaldi-style sets.

Enters: a folder with ``train-clean-5`` and ``dev-clean-2`` in LibriSpeech's layout
(also below ``LibriSpeech/``); with ``--url`` what is missing is downloaded into it.
Leaves: data/train, data/dev (held-out utterances of readers that are in train) and
data/test (dev-clean-2, whose readers are not).

Example:
    python local/data.py --corpus downloads --output_dir data
"""

import argparse
import os
import shutil
import sys
import tarfile
import urllib.request
from pathlib import Path

from espnet2_taste.data.corpora import (
    hold_out,
    librispeech_rows,
    read_part,
    split_tables,
)
from espnet2_taste.data.kaldi_dir import write_kaldi_dir

PARTS = ("train-clean-5", "dev-clean-2")


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--corpus", type=Path, default=Path("downloads"), help="Folder of the corpus")
    add("--url", help="Download missing parts from here")
    add("--held_out", type=int, default=24, help="Utterances of data/dev")
    add("--output_dir", type=Path, default=Path("data"))
    return parser


def find_part(corpus: Path, part: str) -> Path:
    """Where a part of the corpus is, or would be after a download."""
    inside = corpus / "LibriSpeech" / part
    return corpus / part if (corpus / part).is_dir() else inside


def download(corpus: Path, part: str, url: str) -> None:
    """Fetch one part and unpack it below ``corpus``.

    A killed run leaves only names that begin with a dot, which are made anew.

    Raises:
        OSError: The archive cannot be fetched.
        tarfile.TarError: It is damaged or holds something unsafe.
    """
    corpus.mkdir(parents=True, exist_ok=True)
    archive, folder = corpus / f".{part}.tar.gz", corpus / f".{part}"
    print(f"data.py: {url}/{part}.tar.gz is downloaded to {corpus}")
    urllib.request.urlretrieve(f"{url}/{part}.tar.gz", archive)
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(archive) as stream:
        stream.extractall(folder, filter="data")
    (corpus / "LibriSpeech").mkdir(exist_ok=True)
    os.replace(folder / "LibriSpeech" / part, corpus / "LibriSpeech" / part)
    shutil.rmtree(folder)
    archive.unlink()


def main(cmd: list[str] | None = None) -> None:
    """Download unless that is done, and write the sets."""
    args = get_parser().parse_args(cmd)
    try:
        for part in PARTS:
            if args.url and not find_part(args.corpus, part).is_dir():
                download(args.corpus, part, args.url)
        known, unknown = (
            read_part(find_part(args.corpus, part), librispeech_rows) for part in PARTS
        )
    except (ValueError, OSError, tarfile.TarError) as error:
        sys.exit(f"data.py: error: {error}")
    train, dev = split_tables(known, hold_out(known.utt2spk, args.held_out))
    for name, tables in (("train", train), ("dev", dev), ("test", unknown)):
        write_kaldi_dir(args.output_dir / name, tables)


if __name__ == "__main__":
    main()
