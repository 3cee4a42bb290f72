"""A set's prompts become spoken continuations on disk, by one job or by several.

Enters: a design and the folder of a set, or the folders that jobs left of its parts.
Leaves: ``text``, ``units``, ``empty.tsv``, for codes ``codes.scp``, and ``wav.scp`` in
each folder of the results and, last, ``speed.tsv``.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import tqdm

from espnet2_taste.data.ctm import read_rows, write_rows
from espnet2_taste.data.parts import join_parts
from espnet2_taste.data.set_loop import length_batches


def continue_set(
    design,
    folder: Path,
    output: Path,
    batch_size: int,
    choose: Callable[[dict], dict] = dict,
) -> int:
    """Continue and speak one set.

    Args:
        design: ``AbsDesign``.
        folder: The set.
        output: Where the files go; made when absent.
        batch_size: Prompts at once.
        choose: Gives those that are continued, of all prompts by utterance id.

    Returns:
        Number of continuations.
    """
    prompts = choose(design.read(folder))
    spembs = design.voices(folder, list(prompts))
    results: dict[str, dict] = {part: {} for part in design.folders}
    everything, seconds = [], 0.0
    with ExitStack() as stack:
        writers = {
            part: stack.enter_context(design.speaker.writer(output / part))
            for part in design.folders
        }
        for names in tqdm.tqdm(length_batches(prompts, batch_size), desc=output.name):
            given = [prompts[name] for name in names]
            begin = time.perf_counter()
            found = design.generate(names, given)
            seconds += time.perf_counter() - begin
            everything += found
            parts = design.parts(names, given, found, spembs)
            for part, items in zip(design.folders, parts, strict=True):
                results[part] |= design.speaker(writers[part], names, items, spembs)
    for part, result in results.items():
        design.speaker.write_tables(output / part, result)
    rows = sum(item.rows for item in everything)
    ended = sum(bool(item.ended) for item in everything)
    _write_speed(output / "speed.tsv", len(everything), rows, seconds, ended)
    return len(prompts)


def join_continuations(
    parts: Sequence[Path], output: Path, folders: Iterable[str]
) -> str:
    """Make the continuations of a set of those of its parts, whose audio stays there.

    Args:
        parts: Folders of the parts, in order.
        output: Gets what :func:`continue_set` writes, but audio and arks.
        folders: Of the results.

    Returns:
        What was done.

    Raises:
        ValueError: A part is not complete.
    """
    for folder in folders:
        inner = [part / folder for part in parts]
        codes = ["codes.scp"] if (inner[0] / "codes.scp").is_file() else []
        tables = ["text", "units", "empty.tsv", *codes, "wav.scp"]
        join_parts(inner, output / folder, tables)
    columns = {"utterances": int, "rows": int, "seconds": float}
    speeds = [read_rows(part / "speed.tsv", columns, float)[0] for part in parts]
    count, rows, seconds = (sum(row[name] for row in speeds) for name in columns)
    ended = sum(row["ended_percent"] * row["utterances"] / 100 for row in speeds)
    _write_speed(output / "speed.tsv", count, rows, seconds, round(ended))
    return f"{len(parts)} parts joined"


def _write_speed(path: Path, count: int, rows: int, seconds: float, ended: int) -> None:
    """Write ``speed.tsv``, which marks a set as done.

    Args:
        path: The file.
        count: Continuations.
        rows: That were generated.
        seconds: It took, of all jobs together.
        ended: Continuations that ended by themselves.
    """
    header = ("utterances", "rows", "seconds", "rows_per_second", "ended_percent")
    line = (count, rows, f"{seconds:.2f}", f"{rows / max(seconds, 1e-9):.1f}")
    line += (f"{100 * ended / max(count, 1):.1f}",)
    write_rows(path, header, [line])
