"""Arrays by utterance on disk: Kaldi ``ark`` with its ``scp``.

Enters and leaves: matrices (W, Q) or vectors (E,), written as float32, which is exact
for integers below 2 ** 24 (Kaldi has no integer matrices).

Kaldi's own readers run commands and unpickle objects that a table names, so tables
that somebody sends are read here: an entry is a file and an offset, the offset a plain
binary matrix or vector, and nothing else.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from espnet2_taste.data.audio_arks import MARK
from espnet2_taste.data.files import whole_file
from espnet2_taste.data.kaldi_dir import read_table, sort_keys, write_lines, write_table

_KINDS = {
    b"FM ": ("<f4", 2),
    b"DM ": ("<f8", 2),
    b"FV ": ("<f4", 1),
    b"DV ": ("<f8", 1),
}
_INTEGERS = b"\0B\4"  # begin of a vector of int32
_REMEDY = "get the table again from whoever made it"


def write_ark(
    folder: Path,
    name: str,
    arrays: Mapping[str, np.ndarray],
    relative: bool = False,
    dtype: type = np.float32,
) -> None:
    """Write ``<name>.ark``, then ``<name>.scp``, sorted by the bytes of the ids.

    Args:
        folder: Where they go.
        name: Beginning of both names.
        arrays: By utterance id.
        relative: Whether the scp names the ark without its folder, so that the folder
            can be moved (ESPnet's data loaders need the folder).
        dtype: Of the numbers; int32 for vectors alone.
    """
    import kaldiio

    ark = folder / f"{name}.ark"
    shown, lines = ark.name if relative else ark, []
    with whole_file(ark) as part, open(part, "wb") as stream:
        for key in sort_keys(arrays):
            stream.write(f"{key} ".encode())
            lines.append(f"{key} {shown}:{stream.tell()}")
            kaldiio.save_mat(stream, np.asarray(arrays[key]).astype(dtype))
    write_lines(folder / f"{name}.scp", lines)


def write_numbers(
    folder: Path, name: str, rows: Mapping[str, str], dtype: type
) -> None:
    """Write rows of numbers as the table ``<name>`` and as ``<name>.ark`` and ``.scp``.

    The table is for people and small tools. Trainings read the ark by utterance
    (ESPnet's ``kaldi_ark``): of ``text_int`` every process holds all rows.

    Args:
        folder: Where they go.
        name: Of the table.
        rows: Numbers of each utterance, separated by spaces.
        dtype: ``np.int32`` or ``np.float32``.
    """
    arrays = {key: np.array(row.split(), dtype=float) for key, row in rows.items()}
    write_ark(folder, name, arrays, dtype=dtype)
    write_table(folder / name, rows)


class ArkTable(Mapping[str, np.ndarray]):
    """Arrays of an scp, each read when it is asked for.

    Args:
        scp: Lines ``utterance file:offset``; relative files begin at the folder of the
            scp, or at the current one.
        remedy: What to do when the scp is missing.

    Raises:
        ValueError: There is no such scp, or it is no table.
    """

    def __init__(self, scp: str | os.PathLike, remedy: str = _REMEDY):
        self.scp = Path(scp)
        if not self.scp.is_file():
            raise ValueError(f"{self.scp} not found: {remedy}")
        self._entries = read_table(self.scp)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> np.ndarray:
        """Array of an utterance, (W, Q) or (E,).

        Raises:
            KeyError: The table has no such utterance.
            ValueError: The entry is no file with an offset, there is no plain array of
                finite numbers at it, or the file ends within.
        """
        with self._named_errors(name) as entry:
            return _read_array(*_place(entry, self.scp.parent))

    def length(self, name: str) -> int:
        """Rows of a matrix or numbers of a vector, from its header alone.

        Raises:
            KeyError: The table has no such utterance.
            ValueError: The entry is no file with an offset of a plain array.
        """
        with self._named_errors(name) as entry:
            path, offset = _place(entry, self.scp.parent)
            with open(path, "rb") as stream:
                stream.seek(offset)
                if stream.read(3) == _INTEGERS:
                    return int.from_bytes(stream.read(4), "little", signed=True)
                _read_kind(stream, offset)
                return int.from_bytes(stream.read(5)[1:], "little", signed=True)

    def check(self) -> None:
        """Refuse a table of which Kaldi's own readers would run something.

        Raises:
            ValueError: An entry is not just a file, as seen from the current folder,
                with an offset at which a plain array or a recording begins.
        """
        for name in self:
            with self._named_errors(name) as entry:
                path, offset = _place(entry, Path())
                if set("|[") & set(entry):
                    raise ValueError("has a sign that Kaldi's readers give a meaning")
                with open(path, "rb") as stream:
                    stream.seek(offset)
                    if not stream.read(len(MARK)).startswith((_INTEGERS, MARK)):
                        _read_kind(stream, offset)

    @contextmanager
    def _named_errors(self, name: str) -> Iterator[str]:
        """The entry of an utterance; errors get its name."""
        entry = self._entries[name]
        try:
            yield entry
        except ValueError as error:
            raise ValueError(
                f"{self.scp}, utterance '{name}': '{entry[:80]}' {error}; {_REMEDY}"
            ) from error


def _place(entry: str, folder: Path) -> tuple[Path, int]:
    """File and offset of an entry."""
    file, _, offset = entry.rpartition(":")
    if not (offset.isascii() and offset.isdigit() and len(offset) < 19):
        raise ValueError("is no 'file:offset' (commands are never run)")
    for path in (folder / file, Path(file)):
        if path.is_file():
            return path, int(offset)
    raise ValueError("names a file that is missing")


def _read_kind(stream: BinaryIO, offset: int) -> tuple[str, int]:
    """Type and number of dimensions of the plain Kaldi array at an offset."""
    stream.seek(offset)
    head = stream.read(5)
    if head[:2] != b"\0B" or head[2:] not in _KINDS:
        raise ValueError("points to something that is no plain Kaldi array")
    return _KINDS[head[2:]]


def _read_array(path: Path, offset: int) -> np.ndarray:
    """The plain Kaldi array at an offset, (R, C) or (N,)."""
    with open(path, "rb") as stream:
        dtype, dimensions = _read_kind(stream, offset)
        shape = []
        for _ in range(dimensions):
            field = stream.read(5)
            if len(field) < 5 or field[0] != 4:
                raise ValueError("points to an array without a size")
            shape.append(int.from_bytes(field[1:], "little", signed=True))
        wanted = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
        rest = os.fstat(stream.fileno()).st_size - stream.tell()
        if min(shape) < 0 or wanted > rest:
            raise ValueError(f"points to an array of shape {shape}, cut off at the end")
        array = np.frombuffer(stream.read(wanted), dtype).reshape(shape)
    if not np.isfinite(array).all():
        raise ValueError("points to an array with NaN or infinite values")
    return array.copy()
