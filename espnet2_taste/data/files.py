"""Text, YAML and JSON files in, each error with the name of its file; files out, whole.

Enters: paths. Leaves: what the files hold, or a ``ValueError`` that names the file,
says what is wrong in it and what to do. Damaged files are read by nothing else, so
that none ends in an error of a library.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

DAMAGED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError)
"""What PyYAML lets through beside its own errors, for values that are no values."""


def read_text(path: str | os.PathLike) -> str:
    """Content of a text file in UTF-8, without a byte-order mark.

    Raises:
        ValueError: The file is missing or is not UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: expected a text file, found none. Check the path")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected UTF-8, found byte {error.object[error.start]:#x} at "
            f"offset {error.start}. Convert it: iconv -f latin1 -t utf8 {path.name}"
        ) from error


def split_lines(text: str) -> list[str]:
    """Lines of a text, cut at line feeds alone, without line ends.

    Other signs that Unicode counts as ends of lines may stand in words.
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines if lines[-1] else lines[:-1]


def read_lines(path: str | os.PathLike) -> list[str]:
    """Lines of a text file that are not blank, without line ends.

    Raises:
        ValueError: See :func:`read_text`.
    """
    return [line for line in split_lines(read_text(path)) if line.strip()]


def read_yaml(path: str | os.PathLike) -> dict[str, Any]:
    """Options of a YAML file; none for an empty one.

    Raises:
        ValueError: The file is missing, is not UTF-8, is no YAML, or is no table of
            options.
    """
    return parse_yaml(read_text(path), path)


def parse_yaml(content: str | bytes, name: str | os.PathLike) -> dict[str, Any]:
    """Options of a YAML text; none for an empty one.

    Args:
        content: The text.
        name: Of its file, for errors.

    Raises:
        ValueError: It is no YAML, or no table of options.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same, ten times faster
    try:
        options = yaml.load(content, Loader=loader)
    except (yaml.YAMLError, ValueError, *DAMAGED) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or error
        raise ValueError(
            f"{name}{place}: expected YAML, found an error ({reason}). Correct the "
            "line, or get the file again"
        ) from error
    if not isinstance(options or {}, dict):
        raise ValueError(
            f"{name}: expected 'option: value' lines, found {type(options).__name__}. "
            "Check that this is the file that was meant"
        )
    return options or {}


def read_json(path: str | os.PathLike) -> Any:
    """Content of a JSON file.

    Raises:
        ValueError: The file is missing, is not UTF-8 or is no JSON.
    """
    try:
        return json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"{path}: expected JSON, found an error ({error}). Make or get the file "
            "again"
        ) from error


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Give a name to write to, which becomes the file when everything is written.

    The name is new each time, so that several processes may write one file at once:
    it is that of one of them. If writing fails, nothing is left of it and the
    file stays as it was.
    """
    path = Path(path)
    part = path.with_name(f".{path.stem}.{uuid4().hex}{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
