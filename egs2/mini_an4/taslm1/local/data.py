"""Write the AN4 recordings that travel inside the espnet wheel as Kaldi-style sets.

Enters: ``egs3/mini_an4/esp2_asr/downloads.tar.gz`` of the installed espnet, or a folder
given by ``--downloads`` that already holds ``an4``. Leaves: data/train,
data/train_dev (the last two training utterances) and data/test.

Example:
    python local/data.py --downloads downloads --output_dir data
"""

import argparse
import importlib.util
import os
import re
import shutil
import sys
import tarfile
from pathlib import Path

from espnet2_taste.data.kaldi_dir import KaldiDir, write_kaldi_dir

LINE = re.compile(r"^(?:<s>)?\s*(?P<words>.*?)\s*(?:</s>)?\s*\((?P<name>[^)]+)\)$")
DEV_UTTERANCES = 2


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--downloads", type=Path, default=Path("downloads"))
    parser.add_argument("--output_dir", type=Path, default=Path("data"))
    return parser


def find_archive() -> Path:
    """Return the archive inside the installed espnet.

    Raises:
        RuntimeError: espnet is not installed or came without the archive.
    """
    spec = importlib.util.find_spec("egs3")
    places = list(spec.submodule_search_locations or []) if spec else []
    for place in places:
        archive = Path(place) / "mini_an4" / "esp2_asr" / "downloads.tar.gz"
        if archive.is_file():
            return archive
    raise RuntimeError(
        "the installed espnet has no egs3/mini_an4/esp2_asr/downloads.tar.gz; "
        "set AN4 in db.sh to a folder that holds an4/etc and an4/wav"
    )


def read_utterances(etc: Path, part: str) -> list[tuple[str, str, str]]:
    """Read (utterance id, audio path below wav, words) of ``train`` or ``test``.

    Raises:
        RuntimeError: A transcript line cannot be read.
    """
    files = (etc / f"an4_{part}.fileids").read_text(encoding="utf-8").split()
    lines = (etc / f"an4_{part}.transcription").read_text(encoding="utf-8")
    words = {}
    for line in filter(None, map(str.strip, lines.splitlines())):
        match = LINE.match(line)
        if match is None:
            raise RuntimeError(f"{etc}/an4_{part}.transcription: cannot read '{line}'")
        words[match["name"]] = match["words"]
    found = []
    for name in files:
        middle, speaker, _ = name.split("/")[-1].split("-")
        utterance = name.split("/")[-1]
        found.append((f"{speaker}-{middle}", f"{name}.sph", words[utterance]))
    return sorted(found)


def unpack(downloads: Path) -> None:
    """Unpack the archive to ``downloads`` unless that is done.

    Members that would land outside the folder, links and devices are refused by the
    tar filter. A killed run leaves only a temporary folder, which is made anew.

    Raises:
        RuntimeError: There is no archive.
        tarfile.FilterError: The archive holds something unsafe.
    """
    if (downloads / "an4").is_dir():
        return
    temporary = downloads.with_name(f".{downloads.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    with tarfile.open(find_archive()) as archive:
        archive.extractall(temporary, filter="data")
    downloads.mkdir(parents=True, exist_ok=True)
    os.replace(temporary / "downloads" / "an4", downloads / "an4")
    shutil.rmtree(temporary)


def as_tables(wav: Path, utterances: list[tuple[str, str, str]]) -> KaldiDir:
    """Turn (utterance id, audio path below ``wav``, words) into the tables of a set."""
    return KaldiDir(
        {name: str(wav / path) for name, path, _ in utterances},
        {name: words for name, _, words in utterances},
        {name: name.split("-")[0] for name, _, _ in utterances},
    )


def main(cmd: list[str] | None = None) -> None:
    """Unpack unless that is done, and write the sets."""
    args = get_parser().parse_args(cmd)
    corpus = args.downloads / "an4"
    try:
        unpack(args.downloads)
        train = read_utterances(corpus / "etc", "train")
        test = read_utterances(corpus / "etc", "test")
    except (RuntimeError, OSError, tarfile.TarError) as error:
        sys.exit(f"data.py: error: {error}")
    sets = {
        "train": train[:-DEV_UTTERANCES],
        "train_dev": train[-DEV_UTTERANCES:],
        "test": test,
    }
    for name, utterances in sets.items():
        tables = as_tables(corpus / "wav", utterances)
        write_kaldi_dir(args.output_dir / name, tables)


if __name__ == "__main__":
    main()
