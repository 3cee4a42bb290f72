"""Word times on disk: the five-column ``ctm`` of Kaldi and NIST, and rows of numbers.

Enters and leaves: per utterance a list of ``WordTiming`` in the order of the text; on
disk one line ``utterance channel start duration word`` per word, times in seconds. In
tables such as ``word_times`` a row has the begin and the end of every word of the text.

Legend: W words.
"""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from espnet2_taste.data.files import read_text, split_lines
from espnet2_taste.data.kaldi_dir import read_table, sort_keys, write_lines
from espnet2_taste.structures import WordTiming

PROSODY_COLUMNS = ("utt", "word_index", "word", "start", "dur", "f0", "rate", "pitch")


def read_ctm(path: str | os.PathLike) -> dict[str, list[WordTiming]]:
    """Read word times.

    Args:
        path: A ctm file; comment lines start with ``;;``.

    Returns:
        Words of each utterance in the order of the file.

    Raises:
        ValueError: A line has too few columns, a time that is no number, or a
            negative one.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: expected word times (ctm), found no such file")
    timings: dict[str, list[WordTiming]] = {}
    for number, line in enumerate(split_lines(read_text(path)), start=1):
        columns = line.split()
        if not columns or line.startswith(";;"):
            continue
        timings.setdefault(columns[0], []).append(_parse(columns, path, number))
    return timings


def _parse(columns: list[str], path: Path, number: int) -> WordTiming:
    """Turn the columns of one line into a word."""
    try:
        start, duration, word = float(columns[2]), float(columns[3]), columns[4]
    except (IndexError, ValueError) as error:
        raise ValueError(
            f"{path}, line {number}: expected 'utterance channel start duration word', "
            f"found '{' '.join(columns)}'"
        ) from error
    if not (0 <= start < math.inf and 0 <= duration < math.inf):
        raise ValueError(
            f"{path}, line {number}: utterance '{columns[0]}' has a word at {start} s "
            f"of {duration} s; expected times of at least 0"
        )
    return WordTiming(word, start, duration)


def write_ctm(
    path: str | os.PathLike, timings: Mapping[str, Iterable[WordTiming]]
) -> None:
    """Write word times, utterances sorted by the bytes of their ids, 0.1 ms exact."""
    write_lines(
        path,
        (
            f"{utterance} 1 {word.start:.4f} {word.duration:.4f} {word.word}"
            for utterance in sort_keys(timings)
            for word in timings[utterance]
        ),
    )


def word_time_rows(
    timings: Mapping[str, Sequence[WordTiming]], texts: Mapping[str, str]
) -> dict[str, str]:
    """Word times as rows of numbers.

    Args:
        timings: Words of the utterances that could be aligned.
        texts: Transcripts of all utterances.

    Returns:
        Begin and end of each word in seconds, "0 0" for words of unknown time.
    """
    rows = {name: " ".join(["0 0"] * len(text.split())) for name, text in texts.items()}
    for name, words in timings.items():
        rows[name] = " ".join(f"{word.start:.4f} {word.end:.4f}" for word in words)
    return rows


def read_times(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Begin and end of the words (W, 2) of each utterance of such a table."""
    rows = {name: row.split() for name, row in read_table(path).items()}
    return {n: np.array(row, dtype=float).reshape(-1, 2) for n, row in rows.items()}


def read_rows(
    path: str | os.PathLike,
    columns: Mapping[str, Callable[[str], Any]] = MappingProxyType({}),
    others: Callable[[str], Any] = str,
) -> list[dict[str, Any]]:
    """Read a table with a header and tab-separated columns.

    Args:
        path: The table.
        columns: Those it must have, with the function that reads their values (``str``,
            ``int``, ``finite``).
        others: Function that reads the values of all others.

    Returns:
        One dictionary per row, by column name.

    Raises:
        ValueError: The file is missing, a row has another number of columns, a column
            is missing, or a value cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: expected a tab-separated table, found no such file")
    lines = split_lines(read_text(path))
    header, rows = lines[0].split("\t") if lines else [], []
    if set(columns) - set(header):
        raise ValueError(
            f"{path}: expected the columns {', '.join(columns)}, found "
            f"{', '.join(header)}. Make the table again"
        )
    for number, line in enumerate(lines[1:], start=2):
        values = line.split("\t")
        if len(values) != len(header):
            raise ValueError(
                f"{path}, line {number}: expected {len(header)} columns "
                f"({', '.join(header)}), found {len(values)}"
            )
        row = {}
        for name, value in zip(header, values):
            try:
                row[name] = columns.get(name, others)(value)
            except ValueError as error:
                raise ValueError(
                    f"{path}, line {number}: column '{name}' holds '{value}' ({error})"
                ) from error
        rows.append(row)
    return rows


def finite(value: str) -> float:
    """A number that is neither NaN nor infinite.

    Raises:
        ValueError: It is something else.
    """
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("expected a finite number")
    return number


def write_rows(
    path: str | os.PathLike, header: Iterable[str], rows: Iterable[Iterable]
) -> None:
    """Write a header and tab-separated rows through a rename."""
    lines = ["\t".join(header)]
    lines += ["\t".join(str(value) for value in row) for row in rows]
    write_lines(path, lines)
