"""Results on disk and on the page: one JSON a study, Markdown from many.

Enters: numbers with the command and versions that made them. Leaves: ``scores.json``
files and Markdown tables in which a number that does not exist reads "-".
"""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from importlib import metadata
from pathlib import Path

from espnet2_taste.data.files import whole_file

PACKAGES = ("espnet", "espnet2_taste", "torch", "torchaudio", "transformers", "peft")


def plain(value):
    """Turn dataclasses, arrays and numpy scalars into what JSON knows; nan to None."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(path: str | os.PathLike, content) -> None:
    """Write JSON through a rename, readable, in the order given."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False)
    with whole_file(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def provenance(module: str, cmd: Sequence[str], settings: Mapping) -> dict:
    """Say how a result came to be.

    Args:
        module: Module that was run, e.g. ``espnet2_taste.bin.taste_score``.
        cmd: Its arguments.
        settings: Choices that change the numbers.

    Returns:
        ``command``, ``versions`` and ``settings``.
    """
    quoted = [f'"{item}"' if " " in item else item for item in cmd]
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "command": " ".join(["python -m", module, *quoted]),
        "versions": versions,
        "settings": dict(settings),
    }


def format_number(value, digits: int = 3) -> str:
    """Write a number for people: fixed digits, "-" where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return str(value) if isinstance(value, int) else f"{value:.{digits}f}"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence]) -> str:
    """Set a table.

    Args:
        header: Names of the columns.
        rows: Cells; numbers are formatted.

    Returns:
        Markdown.

    Raises:
        ValueError: A row has another number of cells than the header.
    """
    lines = [list(header), ["---"] * len(header)]
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"expected {len(header)} cells, found {len(row)}: {row}")
        lines.append([format_number(cell).replace("|", "\\|") for cell in row])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def dig(content, *path, default=None):
    """Value at a path of nested dictionaries, ``default`` where it breaks off."""
    for key in path:
        if not isinstance(content, Mapping) or key not in content:
            return default
        content = content[key]
    return default if content is None else content


def results_table(
    first: str,
    results: Mapping[str, Mapping],
    columns: Mapping[str, str],
    digits: int = 3,
) -> str:
    """Set nested results, a row each.

    Args:
        first: Title of the names.
        results: By name.
        columns: Keys, joined by dots, by title; shares are shown in % where it says so.
        digits: Of numbers that are no percentages.

    Returns:
        Markdown.
    """

    def cell(content: Mapping, title: str, path: str) -> str:
        value = dig(content, *path.split("."))
        if "%" in title and value is not None:
            return format_number(100 * value, 1)
        return format_number(value, digits)

    rows = [
        (name, *(cell(content, *column) for column in columns.items()))
        for name, content in results.items()
    ]
    return markdown_table((first, *columns), rows)


def aligned_lines(rows: Sequence[Sequence]) -> list[str]:
    """Lay rows out in columns for a terminal.

    Args:
        rows: Of equally many cells each, the header first.

    Returns:
        One line a row.
    """
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows)]
    return [
        "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in rows
    ]
