"""Sets in parts, which jobs work on, and what the parts became as one set again.

Enters: sets of any size. Leaves: ``<parts>/0001/<set>``, ``<parts>/0002/<set>``, ...
with some utterances of the set each, and one list of parts for every job; later the
tables that the jobs left in the parts, joined. A part is a set like any other, so that
commands need not know of it: what a job holds in memory, and what it loses when it is
killed, is one part.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import batched
from pathlib import Path
from typing import Any

from espnet2_taste.data.files import read_lines
from espnet2_taste.data.kaldi_dir import read_table, sort_keys, write_lines, write_table
from espnet2_taste.data.recordings import find_recording

LARGEST, SMALLEST = 1000, 20
"""Utterances of a part at most; what a job of its own is started for at least."""
RESULTS = "out"
"""Folder beside the parts for what jobs make of them, where it goes elsewhere."""


def set_names(value: str) -> str:
    """Value of ``--sets``: names separated by spaces, or ``@FILE`` with one a line.

    Example:
        >>> set_names("train dev")
        'train dev'

    Raises:
        ValueError: There is no such file.
    """
    return " ".join(read_lines(value[1:])) if value.startswith("@") else value


def is_part(name: str) -> bool:
    """Whether the name of a set, as in ``<job>.sets``, is that of a part.

    A part may be without a single utterance of use where the whole set may not.

    Example:
        >>> is_part("0001/train"), is_part("train")
        (True, False)
    """
    return "/" in name


def set_of(name: str) -> str:
    """Set that a part belongs to.

    Example:
        >>> set_of("0001/train"), set_of("train")
        ('train', 'train')
    """
    return name.rpartition("/")[2]


def only_listed(
    items: Mapping[str, Any], ids_dir: Path | None, name: str
) -> dict[str, Any]:
    """Those items of a whole set that belong to one of its parts.

    Args:
        items: By utterance id.
        ids_dir: Where the parts are, with a table ``text`` each; None: take all.
        name: Of the part.

    Raises:
        ValueError: There is no such part.
    """
    listed = items if ids_dir is None else read_table(ids_dir / name / "text")
    return {utterance: items[utterance] for utterance in items if utterance in listed}


def split_sets(
    dump_dir: Path,
    sets: Sequence[str],
    tables: Sequence[str],
    parts_dir: Path,
    num_jobs: int,
    resolve: bool = False,
) -> int:
    """Write the parts of sets and ``<job>.sets``, the list of parts of each job.

    Parts whose tables are as they were are kept, with what jobs left in them and in
    ``RESULTS``; of others both is removed.

    Args:
        dump_dir: Folder of the sets.
        sets: Their names.
        tables: Those the jobs read; one that a set lacks is left out.
        parts_dir: Where the parts go.
        num_jobs: Jobs wanted.
        resolve: Make entries of ``wav.scp`` that begin at the set's folder hold from
            the current one.

    Returns:
        Number of jobs: fewer than wanted where there are fewer parts.

    Raises:
        ValueError: A set has none of the tables, or a table is malformed.
    """
    names, total = [], 0
    for name in sets:
        content = _read_tables(dump_dir / name, tables, resolve)
        total += (size := len(_utterances(content)))
        largest = min(LARGEST, max(SMALLEST, -(-size // num_jobs)))
        count = _split_set(content, largest, parts_dir, name)
        names += [f"{number:04d}/{name}" for number in range(1, count + 1)]
    for old in parts_dir.glob("*.sets"):
        old.unlink()
    jobs = max(1, min(num_jobs, len(names), total // SMALLEST))
    for job in range(jobs):
        write_lines(parts_dir / f"{job + 1}.sets", names[job::jobs])
    return jobs


def _read_tables(
    folder: Path, tables: Sequence[str], resolve: bool
) -> dict[str, dict[str, str]]:
    """Those tables that a set has."""
    content = {t: read_table(folder / t) for t in tables if (folder / t).is_file()}
    if not content:
        raise ValueError(
            f"{folder}: expected {' or '.join(tables)}, found none of them"
        )
    if resolve and "wav.scp" in content:
        wavs = content["wav.scp"]
        for name, entry in wavs.items():
            wavs[name] = find_recording(entry, folder) or entry
    return content


def _utterances(content: dict[str, dict[str, str]]) -> list[str]:
    """Sorted ids that any table has; with ``segments``, ``wav.scp`` has recordings."""
    keyed = [
        r for t, r in content.items() if "segments" not in content or t != "wav.scp"
    ]
    return sort_keys(set().union(*keyed))


def _split_set(
    content: dict[str, dict[str, str]], largest: int, parts_dir: Path, name: str
) -> int:
    """Write the parts of one set; gives their number."""
    recordings = content["wav.scp"] if "segments" in content else {}
    count = 0
    for count, chosen in enumerate(batched(_utterances(content), largest), start=1):
        part = {
            table: {utt: rows[utt] for utt in chosen if utt in rows}
            for table, rows in content.items()
        }
        if recordings:
            used = {line.split()[0] for line in part["segments"].values() if line}
            part["wav.scp"] = {r: recordings[r] for r in used if r in recordings}
        _write_part(parts_dir, f"{count:04d}/{name}", part)
    for parent in (parts_dir, parts_dir / RESULTS):
        for old in list(parent.glob(f"[0-9]*/{name}")):
            if int(old.parent.name) > count:
                shutil.rmtree(old)
    return count


def _write_part(parts_dir: Path, name: str, tables: dict[str, dict[str, str]]) -> None:
    """Write the tables of a part, after removing what was made from other ones."""
    folder = parts_dir / name
    same = all(
        (folder / table).is_file() and read_table(folder / table) == rows
        for table, rows in tables.items()
    )
    if same and folder.is_dir():
        return
    for old in (parts_dir / RESULTS / name, folder):
        shutil.rmtree(old, ignore_errors=True)
    folder.mkdir(parents=True)
    for table, rows in tables.items():
        write_table(folder / table, rows)


def find_parts(parts_dir: Path, name: str) -> list[Path]:
    """Folders of a set's parts, in order.

    Raises:
        ValueError: There is none.
    """
    found = parts_dir.glob(f"[0-9]*/{name}")
    found = sorted(found, key=lambda part: int(part.parent.name))
    if not found:
        raise ValueError(f"{parts_dir}: no part of '{name}'; repeat the stage")
    return found


def join_parts(parts: Sequence[Path], folder: Path, tables: Iterable[str]) -> str:
    """Write the tables of a set from those of its parts, in the order given.

    Parts hold consecutive utterances, so tables that are sorted in each stay sorted.

    Args:
        parts: Folders of the parts, in order.
        folder: The set; made when absent.
        tables: Names; ``.tsv`` tables have a header.

    Returns:
        What was done.

    Raises:
        ValueError: A part lacks a table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        for part in parts:
            if not (part / table).is_file():
                raise ValueError(
                    f"{part} lacks {table}: its job has not ended. Repeat the stage"
                )
        write_lines(folder / table, _rows(parts, table))
    return f"{len(parts)} parts joined"


def _rows(parts: Sequence[Path], table: str) -> Iterator[str]:
    """Lines of a table of all parts; of headers, the first."""
    for index, part in enumerate(parts):
        lines = read_lines(part / table)
        yield from lines[1 if index and table.endswith(".tsv") else 0 :]
