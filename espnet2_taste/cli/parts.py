"""Work on long lists in parts: finished parts are kept, several processes share them.

Enters: a ``Job``, utterances with a digest of what each is made from, and an output
folder. Leaves: ``parts/00000`` and so on, each written under another name and renamed
when it is complete, then the tables of all parts joined in the output folder, with
paths relative to it. Each part records the options and what its utterances were made
from, so that a repeated command does only what is missing or has changed.
"""

import json
import multiprocessing
import os
import shutil
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from espnet2_taste.cli.quiet import import_quietly
from espnet2_taste.cli.results import write_dropped
from espnet2_taste.data.checks import check_name
from espnet2_taste.data.ctm import read_rows
from espnet2_taste.data.files import read_lines
from espnet2_taste.data.kaldi_dir import sort_keys, write_lines

PATHS = ("codes.scp", "spembs.scp", "wav.scp")
TABLES = (*PATHS, "words", "model", "ctm", "alignment", "units")
ROWS = ("dropped.tsv", "scores.tsv")
RECORD = "record.json"
PARTS_A_PROCESS = 4  # at least, so that the bar moves


@dataclass(frozen=True)
class Job(ABC):
    """What is done to utterances; small enough to be sent to another process.

    Attributes:
        settings: What the results depend on beside the utterances, for the record.
        batch_size: Utterances at once.
    """

    settings: dict
    batch_size: int

    @abstractmethod
    def load(self, device: str):
        """Load the model."""

    @abstractmethod
    def work(self, model, names: Sequence[str], folder: Path) -> None:
        """Write the results of some utterances into a folder."""


@dataclass(frozen=True)
class Outcome:
    """What became of the utterances of a command.

    Attributes:
        output: Folder of the results.
        count: Utterances.
        dropped: Why an utterance could not be used, by its id.
    """

    output: Path
    count: int
    dropped: Mapping[str, str]


def run_job(
    job: Job,
    inputs: Mapping[str, str],
    output: Path,
    part_size: int,
    nj: int,
    ngpu: int,
) -> Outcome:
    """Do the work on all utterances.

    Args:
        job: The work.
        inputs: Digest of what each utterance is made from, by its id.
        output: Folder of the results.
        part_size: Most utterances of a part.
        nj: Processes.
        ngpu: GPUs they share; 0 for the CPU.

    Returns:
        What was done.

    Raises:
        ValueError: There are no utterances, or the folder holds results of another
            command.
        RuntimeError: A process was killed.
    """
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    if not inputs:
        raise ValueError("the list is empty: there is no utterance to work on")
    output = output.absolute()
    done = _finished_parts(output, job.settings, inputs)
    refused = _unusable_names(inputs)
    names = [name for name in inputs if name not in done and name not in refused]
    waiting = list(_divide(names, output / "parts", part_size, nj, job.batch_size))
    bar = {"total": len(inputs), "initial": len(done), "desc": output.name}
    tasks = [(folder, {n: inputs[n] for n in part}) for folder, part in waiting]
    with tqdm(**bar, unit="utt") as bar, logging_redirect_tqdm():
        for folder, part in _work(job, tasks, min(nj, len(tasks)), ngpu):
            done |= dict.fromkeys(part, folder)
            bar.update(len(part))
    join_parts(done, output)
    dropped = read_dropped(output) | refused
    write_dropped(output, dropped)
    return Outcome(output, len(inputs), dropped)


def _unusable_names(names: Iterable[str]) -> dict[str, str]:
    """Ids that cannot name a file, with the reason."""
    refused = {}
    for name in names:
        try:
            check_name(name)
        except ValueError as error:
            refused[name] = str(error)
    return refused


def _divide(
    names: Sequence[str], parent: Path, part_size: int, nj: int, batch_size: int
) -> Iterator[tuple[Path, Sequence[str]]]:
    """New parts: whole batches, and several for each process."""
    if not names:
        return
    share = -(-len(names) // nj)
    size = max(-(-share // PARTS_A_PROCESS), min(batch_size, share))
    size = min(part_size, size)
    first = 1 + max((int(p.name) for p in _parts(parent)), default=-1)
    for index, start in enumerate(range(0, len(names), size), start=first):
        yield parent / f"{index:05d}", names[start : start + size]


def _parts(parent: Path) -> list[Path]:
    return sorted(path for path in parent.glob("*") if path.name.isdigit())


def _finished_parts(
    output: Path, settings: Mapping, inputs: Mapping[str, str]
) -> dict[str, Path]:
    """Part of each utterance that was made from what it would be made from now.

    Raises:
        ValueError: The folder holds something else.
    """
    parts = _parts(output / "parts")
    if not (output / "parts").is_dir() and output.is_dir() and any(output.iterdir()):
        raise ValueError(
            f"{output}: it is there, but was not made by this command; name another "
            "--output"
        )
    done = {}
    for folder in parts:
        found = _read_record(folder)
        if len(read_dropped(folder)) == len(found["inputs"]):
            same = (
                found["settings"] == settings
                and found["inputs"].keys() <= inputs.keys()
            )
            if not same:
                continue  # a command without any result claims nothing
        _check_same(output, found, settings, inputs)
        rows = found["inputs"].items()
        done |= {name: folder for name, key in rows if inputs[name] == key}
    return done


def _read_record(folder: Path) -> dict:
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return {"settings": dict(found["settings"]), "inputs": dict(found["inputs"])}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{folder / RECORD} is missing or damaged ({error}): remove the folder "
            f"{folder}, whose utterances are done again"
        ) from error


def _check_same(output: Path, found: Mapping, settings: Mapping, inputs: Mapping):
    """Refuse results of other settings or of other utterances."""
    for key in settings:
        before = found["settings"].get(key)
        if before != settings[key]:
            raise ValueError(
                f"{output} holds results with {key} = {before}, this command has "
                f"{settings[key]}: name another --output, or remove it"
            )
    others = [name for name in found["inputs"] if name not in inputs]
    if others:
        raise ValueError(
            f"{output} holds results of utterances that this command does not name "
            f"('{others[0]}', {len(others)} in all): name another --output, or "
            "remove it"
        )


def _work(
    job: Job, tasks: Sequence[tuple[Path, Mapping[str, str]]], nj: int, ngpu: int
) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """Each part when it is finished."""
    if nj <= 1:
        model = _load(job, "cuda" if ngpu else "cpu") if tasks else None
        for folder, part in tasks:
            _do_part(job, model, folder, part)
            yield folder, part
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(nj, context, _start, (job, nj, ngpu))
    try:
        with _ignored_interrupts():  # Ctrl-C reaches all; this process ends the others
            futures = {pool.submit(_do_shared, *task): task for task in tasks}
        for future in as_completed(futures):
            future.result()
            yield futures[future]
    except BrokenProcessPool as error:
        raise RuntimeError(
            "one of the processes was killed, perhaps because memory ran out. Finished "
            "parts are kept: repeat the command, with a smaller --nj or --batch_size"
        ) from error
    except KeyboardInterrupt:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _ignored_interrupts() -> Iterator[None]:
    """Processes that are started now do not see Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_shared: dict = {}  # of a worker process: its job, its device and its model


def _start(job: Job, nj: int, ngpu: int) -> None:
    threads = max(1, (os.cpu_count() or 1) // nj)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # before torch is imported
    number = int(multiprocessing.current_process().name.rpartition("-")[2])
    _shared.update(job=job, device=f"cuda:{number % ngpu}" if ngpu else "cpu")


def _do_shared(folder: Path, part: Mapping[str, str]) -> None:
    """A part in a worker process, which loads the model for its first one."""
    if "model" not in _shared:
        _shared["model"] = _load(_shared["job"], _shared["device"])
    _do_part(_shared["job"], _shared["model"], folder, part)


def _load(job: Job, device: str):
    import_quietly()
    return job.load(device)


def _do_part(job: Job, model, folder: Path, part: Mapping[str, str]) -> None:
    temporary = folder.with_name(f".{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    job.work(model, list(part), temporary)
    record = json.dumps({"settings": job.settings, "inputs": part}, indent=1)
    (temporary / RECORD).write_text(record + "\n", encoding="utf-8")
    temporary.rename(folder)


def join_parts(done: Mapping[str, Path], output: Path) -> None:
    """Join the tables of all parts, sorted by the bytes of the ids.

    Args:
        done: The part of each utterance.
        output: Where the tables go; a table without lines is removed.
    """
    folders = sorted(set(done.values()))
    for name in (*TABLES, *ROWS):
        lines: dict[str, list[str]] = {}
        header: list[str] = []
        for folder in folders:
            if not (folder / name).is_file():
                continue
            rows = read_lines(folder / name)
            header = rows[:1] if name in ROWS else []
            for row in rows[len(header) :]:
                key = row.split(maxsplit=1)[0]
                if done.get(key) == folder:
                    row = _moved(row, folder, output) if name in PATHS else row
                    lines.setdefault(key, []).append(row)
        if lines:
            ordered = [row for key in sort_keys(lines) for row in lines[key]]
            write_lines(output / name, header + ordered)
        else:
            (output / name).unlink(missing_ok=True)


def _moved(row: str, folder: Path, output: Path) -> str:
    """A row whose path begins at the part, so that it begins at the output."""
    key, path = row.split(maxsplit=1)
    return f"{key} {folder.relative_to(output).as_posix()}/{path}"


def read_dropped(output: Path) -> dict[str, str]:
    """Reasons of the utterances that could not be used, by id."""
    table = output / "dropped.tsv"
    rows = read_rows(table, {"utt": str, "reason": str}) if table.is_file() else []
    return {row["utt"]: row["reason"] for row in rows}
