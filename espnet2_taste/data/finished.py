"""Folders that are either finished or not there.

Enters: a folder to make and a record (plain values) of what it is made from. Leaves:
the folder under its final name only when it is complete, with the record in it; a
folder whose record says the same is kept.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from espnet2_taste.data.audio_arks import file_of
from espnet2_taste.data.files import read_json


def digest(paths: Iterable[str | os.PathLike], contents: bool) -> str:
    """Fingerprint of files, by their contents or by their size and time of change.

    Args:
        paths: Files, or places in arks, in a fixed order; missing ones count as
            missing.
        contents: Read the files instead of asking for size and time.

    Returns:
        Sixteen hexadecimal digits.
    """
    sha = hashlib.sha256()
    for entry in paths:
        path = Path(file_of(entry))
        sha.update(f"{Path(entry)}\0{path.is_file()}\0".encode())
        if not path.is_file():
            continue
        if contents:
            sha.update(path.read_bytes())
        else:
            status = path.stat()
            sha.update(f"{status.st_size} {status.st_mtime_ns}\0".encode())
    return sha.hexdigest()[:16]


def set_record(settings: dict) -> dict:
    """What a finished set is known by: its settings, but that wav is not named, as in
    sets of the time when there was no other format."""
    return {k: v for k, v in settings.items() if (k, v) != ("audio_format", "wav")}


def is_finished(folder: Path, name: str, record: dict) -> bool:
    """Whether ``folder`` holds the record, so was made from the same things."""
    file = folder / name
    return file.is_file() and read_json(file) == record


def start_folder(folder: Path, name: str, record: dict) -> Path:
    """Open the temporary folder beside ``folder``.

    What a killed run left there is kept when it was made from the same things.

    Returns:
        The temporary folder, with the record in it.

    Raises:
        ValueError: ``folder`` holds something that was not made this way.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / name).is_file():
        raise ValueError(
            f"{folder}: it is there, but was not made by this command ({name} is not "
            "in it). Move it away, or name another folder"
        )
    temporary = folder.with_name(f".{folder.name}.tmp")
    if not is_finished(temporary, name, record):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        (temporary / name).write_text(json.dumps(record), encoding="utf-8")
    return temporary


def finish_folder(temporary: Path, folder: Path) -> None:
    """Put the temporary folder in the place of ``folder``."""
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary, folder)
