"""Kaldi-style data directories: tables of ``key value`` lines.

Enters and leaves: a folder with ``wav.scp``, ``text``, ``utt2spk`` and ``spk2utt``,
one line per utterance (or speaker), sorted by the bytes of the key as ``LC_ALL=C sort``
does. Reading accepts Windows line ends, a byte-order mark and any order of lines, and
refuses duplicate keys; writing goes to a temporary name first, so that a killed run
never leaves half a table.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from espnet2_taste.data.files import read_text, whole_file

TABLES = ("wav.scp", "text", "utt2spk")


@dataclass(frozen=True)
class KaldiDir:
    """The tables of one set, each from utterance id to value.

    Attributes:
        wav: Audio path of each utterance.
        text: Transcript of each utterance.
        utt2spk: Speaker of each utterance.
    """

    wav: dict[str, str]
    text: dict[str, str]
    utt2spk: dict[str, str] = field(default_factory=dict)

    def only(self, names: Iterable[str]) -> "KaldiDir":
        """The tables of these utterances alone, in this order."""
        names = list(names)
        tables = (self.wav, self.text, self.utt2spk)
        return KaldiDir(*({name: table[name] for name in names} for table in tables))


def read_table(path: str | os.PathLike) -> dict[str, str]:
    """Read ``key value`` lines; the value may be empty or hold spaces.

    Args:
        path: A text file in UTF-8.

    Returns:
        Values by key, in the order of the file.

    Raises:
        ValueError: The file is missing, is not UTF-8 or holds a key twice.
    """
    table: dict[str, str] = {}
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        key, _, value = line.strip().replace("\t", " ").partition(" ")
        if not key:
            continue
        if key in table:
            raise ValueError(
                f"{path}, line {number}: '{key}' occurs twice, expected each id once. "
                "Rename or remove one of them"
            )
        table[key] = value.strip()
    return table


def read_integers(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read ``key integer integer ...`` lines.

    Args:
        path: A text file in UTF-8.

    Returns:
        (U,) int64 by key, in the order of the file.

    Raises:
        ValueError: See :func:`read_table`; or a value is no integer.
    """
    table = {}
    for key, value in read_table(path).items():
        try:
            table[key] = np.array(value.split(), dtype=np.int64)
        except (ValueError, OverflowError) as error:
            raise ValueError(
                f"{path}: '{key}' holds '{value[:40]}', expected integers. Make the "
                "table again"
            ) from error
    return table


def write_table(path: str | os.PathLike, table: Mapping[str, str]) -> None:
    """Write ``key value`` lines sorted by the bytes of the key, through a rename."""
    lines = (f"{key} {table[key]}".rstrip() for key in sort_keys(table))
    write_lines(path, lines)


def write_lines(path: str | os.PathLike, lines: Iterable[str]) -> None:
    """Write lines to a file that is there when it is complete."""
    with whole_file(path) as part:
        with open(part, "w", encoding="utf-8", newline="\n") as stream:
            stream.writelines(line + "\n" for line in lines)


def sort_keys(keys: Iterable[str]) -> list[str]:
    """Sort as ``LC_ALL=C sort`` does: by the bytes of the UTF-8 string."""
    return sorted(keys, key=lambda key: key.encode("utf-8"))


def speakers_to_utterances(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """Turn ``utt2spk`` into ``spk2utt`` (utterances joined by spaces)."""
    speakers: dict[str, list[str]] = {}
    for utterance in sort_keys(utt2spk):
        speakers.setdefault(utt2spk[utterance], []).append(utterance)
    return {speaker: " ".join(ids) for speaker, ids in speakers.items()}


def read_kaldi_dir(path: str | os.PathLike) -> KaldiDir:
    """Read the tables of a set.

    A missing ``utt2spk`` makes every utterance its own speaker, as in Kaldi.

    Args:
        path: The set's folder.

    Returns:
        The tables as they are; ``checks.find_utterances`` says what can be used.

    Raises:
        ValueError: A table is missing or malformed.
    """
    path = Path(path)
    if not path.is_dir():
        raise ValueError(f"{path}: expected a Kaldi-style folder, found none")
    wav = read_table(path / "wav.scp")
    text = read_table(path / "text")
    speakers = {}
    if (path / "utt2spk").is_file():
        speakers = read_table(path / "utt2spk")
    utt2spk = {utterance: speakers.get(utterance) or utterance for utterance in wav}
    return KaldiDir(wav, text, utt2spk)


def write_kaldi_dir(path: str | os.PathLike, tables: KaldiDir) -> None:
    """Write ``wav.scp``, ``text``, ``utt2spk`` and ``spk2utt``.

    Args:
        path: The set's folder; made when absent.
        tables: Tables over the same utterances.

    Raises:
        ValueError: The tables speak of different utterances.
    """
    for name, table in (("text", tables.text), ("utt2spk", tables.utt2spk)):
        different = sorted(set(tables.wav) ^ set(table))
        if different:
            raise ValueError(
                f"{path}: wav.scp and {name} differ at '{different[0]}' "
                f"({len(different)} utterances in all); expected the same ids in both"
            )
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    write_table(path / "wav.scp", tables.wav)
    write_table(path / "text", tables.text)
    write_table(path / "utt2spk", tables.utt2spk)
    write_table(path / "spk2utt", speakers_to_utterances(tables.utt2spk))
