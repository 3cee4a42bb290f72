"""Work on long lists in parts: finished parts are kept, several processes share them.

Enters: a ``Job``, utterance ids and an output folder. Leaves: ``parts/00000`` and so
on, each written under another name and renamed when it is complete, then the tables of
all parts joined in the output folder. A repeated command does only what is missing.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TABLES = ("codes.scp", "spembs.scp", "words", "ctm", "wav.scp", "units")
ROWS = ("dropped.tsv", "scores.tsv")
RECORD = "command.json"


@dataclass(frozen=True)
class Job(ABC):
    """What is done to utterances; small enough to be sent to another process.

    Attributes:
        switches: What the results depend on, for the record.
        batch_size: Utterances at once.
    """

    switches: dict
    batch_size: int

    @abstractmethod
    def load(self, device: str):
        """Load the model."""

    @abstractmethod
    def work(self, model, names: Sequence[str], folder: Path, final: Path) -> None:
        """Write the results of some utterances into a folder that becomes ``final``."""

    def batches(self, names: Sequence[str]) -> Iterator[list[str]]:
        """Names in groups of ``batch_size``."""
        for start in range(0, len(names), self.batch_size):
            yield list(names[start : start + self.batch_size])


def run_job(
    job: Job, names: Sequence[str], output: Path, part_size: int, nj: int, ngpu: int
) -> None:
    """Do the work on all utterances.

    Args:
        job: The work.
        names: Utterance ids.
        output: Folder of the results.
        part_size: Utterances of a part.
        nj: Processes.
        ngpu: GPUs they share; 0 for the CPU.

    Raises:
        ValueError: The folder holds results of another command.
    """
    from tqdm import tqdm

    output = output.absolute()  # so that the tables are good in any directory
    parts = [names[i : i + part_size] for i in range(0, len(names), part_size)]
    _claim(output, {**job.switches, "names": _digest(names), "part_size": part_size})
    folders = [output / "parts" / f"{index:05d}" for index in range(len(parts))]
    waiting = [pair for pair in zip(folders, parts) if not pair[0].is_dir()]
    done = len(names) - sum(len(part) for _, part in waiting)
    with tqdm(total=len(names), initial=done, desc=output.name, unit="utt") as bar:
        for count in _finished(job, waiting, min(nj, len(waiting)), ngpu):
            bar.update(count)
    join_parts(folders, output)


def _finished(job: Job, waiting: list, nj: int, ngpu: int) -> Iterator[int]:
    """Number of utterances of each part when it is finished."""
    if nj <= 1:
        model = job.load("cuda" if ngpu else "cpu") if waiting else None
        for folder, part in waiting:
            yield _do_part(job, model, folder, part)
        return
    context = multiprocessing.get_context("spawn")
    numbers = context.Queue()
    for number in range(nj):
        numbers.put(number)
    with context.Pool(nj, _start, (job, numbers, nj, ngpu)) as pool:
        yield from pool.imap_unordered(_do_shared, waiting)


_shared: dict = {}  # of a worker process: its job and its model


def _start(job: Job, numbers, nj: int, ngpu: int) -> None:
    threads = max(1, (os.cpu_count() or 1) // nj)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))  # before torch is imported
    number = numbers.get()
    device = f"cuda:{number % ngpu}" if ngpu else "cpu"
    _shared.update(job=job, model=job.load(device))


def _do_shared(pair: tuple[Path, Sequence[str]]) -> int:
    return _do_part(_shared["job"], _shared["model"], *pair)


def _do_part(job: Job, model, folder: Path, names: Sequence[str]) -> int:
    temporary = folder.with_name(f".{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    job.work(model, names, temporary, folder)
    temporary.rename(folder)
    return len(names)


def join_parts(folders: Sequence[Path], output: Path) -> None:
    """Join the tables of all parts, sorted by the bytes of the ids.

    Args:
        folders: The parts.
        output: Where the tables go.
    """
    from espnet2_taste.data.kaldi_dir import write_lines

    for name in (*TABLES, *ROWS):
        lines, header = [], []
        for folder in folders:
            if (folder / name).is_file():
                found = (folder / name).read_text(encoding="utf-8").splitlines()
                header = found[:1] if name in ROWS else []
                lines += found[len(header) :]
        if lines:
            key = [line.split(maxsplit=1)[0].encode("utf-8") for line in lines]
            order = sorted(range(len(lines)), key=key.__getitem__)  # stable: word order
            write_lines(output / name, header + [lines[index] for index in order])


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(names).encode("utf-8")).hexdigest()[:16]


def _claim(output: Path, record: dict) -> None:
    """Refuse a folder that was made from something else."""
    path = output / RECORD
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        different = [key for key in record if found.get(key) != record[key]]
        if different:
            key = different[0]
            raise ValueError(
                f"{output} holds results with {key} = {found.get(key)}, this command "
                f"has {record[key]}: name another --output, or remove it"
            )
    output.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
