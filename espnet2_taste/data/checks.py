"""What is wrong with a set, before anything is computed from it.

Enters: the tables of a set as read. Leaves: the tables of the utterances that can be
used, and the reason for each one that cannot; or a ``ValueError`` where going on would
be wrong for the whole set (names that are no file names).
"""

import os
import re
from collections.abc import Callable
from pathlib import Path

from espnet2_taste.data.audio_arks import PLACE
from espnet2_taste.data.kaldi_dir import KaldiDir, sort_keys

LONGEST_NAME = 200
UNUSABLE_NAME = re.compile(r"[\x00-\x20\x7f/\\]|^[.-]")


def check_name(utterance: str) -> None:
    """Refuse an utterance id that cannot name a file.

    Raises:
        ValueError: The id has a slash, a blank or a control character, begins with
            ``.`` or ``-``, or is too long.
    """
    if UNUSABLE_NAME.search(utterance):
        raise ValueError(
            f"utterance '{utterance}': the id is used as a file name, so it may hold "
            "no slash or blank and may not begin with '.' or '-'. Rename it in all "
            "tables that name it"
        )
    if len(utterance.encode("utf-8")) > LONGEST_NAME:
        raise ValueError(
            f"utterance '{utterance[:40]}...': the id has "
            f"{len(utterance.encode('utf-8'))} bytes, expected at most {LONGEST_NAME}. "
            "Rename it in all tables that name it"
        )


def audio_file(folder: Path, utterance: str) -> Path:
    """Where the speech of an utterance is written.

    Args:
        folder: Of a set.
        utterance: Its id.

    Returns:
        ``<folder>/audio/<id>.wav``.

    Raises:
        ValueError: The id cannot name a file.
    """
    check_name(utterance)
    return folder / "audio" / f"{utterance}.wav"


def find_audio(value: str, set_dir: str | os.PathLike) -> Path | None:
    """Find the recording that an entry of ``wav.scp`` means.

    Args:
        value: A file or a place in an ark (``audio.ark:123``): absolute, or relative to
            the current folder, to the set's folder or to any folder above it.
        set_dir: The set's folder.

    Returns:
        The file or the place, or None where there is none.
    """
    if not value:
        return None
    set_dir, place = Path(set_dir).absolute(), PLACE.fullmatch(value)
    for folder in (Path(), set_dir, *set_dir.parents):
        if (folder / value).is_file() or place and (folder / place["file"]).is_file():
            return folder / value
    return None


def find_utterances(
    tables: KaldiDir,
    set_dir: str | os.PathLike,
    find: Callable[[str, Path], object] = find_audio,
) -> tuple[KaldiDir, dict[str, str]]:
    """Split a set into utterances with audio and text, and the others.

    Args:
        tables: The set as read.
        set_dir: Its folder, where relative audio paths may begin.
        find: Finds what an entry of ``wav.scp`` means, or gives None.

    Returns:
        Tables of the utterances that can be used, with audio as found, and the
        reason for each of the others by utterance id.

    Raises:
        ValueError: An id cannot name a file.
    """
    usable = KaldiDir({}, {}, {})
    dropped: dict[str, str] = {}
    for utterance in sort_keys(set(tables.wav) | set(tables.text)):
        check_name(utterance)
        value = tables.wav.get(utterance)
        text = tables.text.get(utterance)
        audio = find(value or "", Path(set_dir))
        reason = _reason(value, text, audio)
        if reason:
            dropped[utterance] = reason
            continue
        usable.wav[utterance] = str(audio)
        usable.text[utterance] = text
        usable.utt2spk[utterance] = tables.utt2spk.get(utterance, utterance)
    return usable, dropped


def _reason(value: str | None, text: str | None, audio: object) -> str:
    """Why an utterance cannot be used, or an empty string."""
    if value is None:
        return "it has a transcript but no audio in wav.scp"
    if text is None:
        return "it has audio but no transcript in text"
    if not text:
        return "its transcript is empty"
    if audio is None:
        hint = " (is there a blank in the utterance id?)" if " " in value else ""
        return f"the audio file is missing: {value}{hint}"
    return ""
