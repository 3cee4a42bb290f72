"""Recordings behind each other in one file, as ``recording_writer`` writes them.

Enters: an entry of ``wav.scp``: a file, or a place in an ark (``audio.ark:123``).
Leaves: the file, or the bytes of the recording. Nothing but audio is read from an ark
here: Kaldi's own readers unpickle what a place holds.
"""

import os
import re
from io import BytesIO
from pathlib import Path

PLACE = re.compile(r"(?P<file>.+):(?P<offset>\d{1,18})", re.DOTALL)
MARK = b"AUDIO"
"""Begin of a recording in an ark."""


def file_of(entry: str | os.PathLike) -> str:
    """The file that an entry is read from; commands stand for themselves."""
    entry = os.fspath(entry)
    if entry.endswith("|") or Path(entry).is_file():
        return entry
    place = PLACE.fullmatch(entry)
    return place["file"] if place else entry


def open_recording(entry: str | os.PathLike) -> str | BytesIO:
    """What libsndfile opens: the file of an entry, or the audio at its place in an ark.

    Raises:
        ValueError: There is no such file, or no audio at the place.
    """
    entry = os.fspath(entry)
    if Path(entry).is_file():
        return entry
    place = PLACE.fullmatch(entry)
    if not place or not Path(place["file"]).is_file():
        raise ValueError(f"the audio file is missing: {entry}")
    with open(place["file"], "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        stream.seek(min(int(place["offset"]), size))
        width = stream.read(len(MARK) + 1)
        if width[:-1] != MARK or width[-1] > 8:
            raise ValueError(f"{entry} is no audio of an ark; run stage 2 again")
        length = int.from_bytes(stream.read(width[-1]), "little")
        if length > size - stream.tell():
            raise ValueError(f"{entry}: the ark ends within; run stage 2 again")
        return BytesIO(stream.read(length))
