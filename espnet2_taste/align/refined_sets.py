"""Word times of whole sets made finer by models of letters.

Enters: sets with ``wav.scp``, ``text`` and ``word_times`` of an aligner. Leaves in each
``word_times_refined`` (as a table, and as ark and scp for trainings), ``ctm_refined``
(the same words in Kaldi's form), ``not_refined.tsv`` (utterances that keep their first
times, and why) and last ``refined.json``, which also says what they were made from. The
models are trained before, on some of the sets.

Legend: F frames, D features, W words.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from espnet2_taste.align.cepstra import SAMPLE_RATE, Cepstra
from espnet2_taste.align.letter_models import LetterModels, TimedFrames
from espnet2_taste.data.arks import write_numbers
from espnet2_taste.data.audio import load_speech
from espnet2_taste.data.ctm import (
    read_ctm,
    read_rows,
    read_times,
    word_time_rows,
    write_ctm,
    write_rows,
)
from espnet2_taste.data.files import read_json
from espnet2_taste.data.finished import digest
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.data.parts import join_parts
from espnet2_taste.metrics.durations import pair_words, score_durations
from espnet2_taste.metrics.tables import write_json
from espnet2_taste.structures import WordTiming

FIRST, REFINED = "word_times", "word_times_refined"
CTM = "ctm_refined"
SOURCE_TABLES = ("wav.scp", "text", FIRST)
SUMMARY, PROBLEMS = "refined.json", "not_refined.tsv"
UNTIMED = "its words have no times yet"
SHORT = "more letters than its frames can hold"


class FrameReader:
    """Frames (F, D) of a recording by its path."""

    def __init__(self):
        self.cepstra = Cepstra()

    def __call__(self, wav: str) -> np.ndarray:
        return self.cepstra(load_speech(wav, SAMPLE_RATE, keep_silence=True))


def read_first_times(folder: Path) -> dict[str, np.ndarray]:
    """Begin and end of the words of each utterance, (W, 2).

    Raises:
        ValueError: The set was not aligned.
    """
    if not (folder / FIRST).is_file():
        raise ValueError(f"{folder / FIRST} not found: run recognize align first")
    return read_times(folder / FIRST)


def _timed(times: np.ndarray) -> bool:
    """Whether an utterance was aligned; single words may have no length."""
    return bool((times[:, 1] > times[:, 0]).any())


def utterances(folders: Sequence[Path], most: int) -> Iterator[TimedFrames]:
    """Utterances that have word times, evenly from all that there are."""
    found = []
    for folder in folders:
        wavs, texts = read_table(folder / "wav.scp"), read_table(folder / "text")
        for name, times in read_first_times(folder).items():
            if _timed(times):
                found.append((wavs[name], tuple(texts[name].split()), times))
    read = FrameReader()
    for index in np.linspace(0, len(found) - 1, min(most, len(found))).round():
        wav, words, times = found[int(index)]
        yield TimedFrames(read(wav), words, times)


def tables_digest(folders: Sequence[Path]) -> str:
    """What the recordings, words and first times of sets are known by."""
    return digest([f / name for f in folders for name in SOURCE_TABLES], contents=True)


def made_from(folder: Path, models: str | Path) -> dict:
    """What the refined times of a set follow from: its tables, a file of models."""
    return {"tables": tables_digest([folder]), "models": digest([models], True)}


def refine_set(models: LetterModels, folder: Path, record: dict) -> dict:
    """Refine one set.

    Args:
        models: Trained models.
        folder: The set, or a part of it.
        record: Of :func:`made_from`.

    Returns:
        See :func:`write_summary`.
    """
    wavs, texts = read_table(folder / "wav.scp"), read_table(folder / "text")
    read, problems, timings = FrameReader(), {}, {}
    for name, times in read_first_times(folder).items():
        words = texts[name].split()
        if not _timed(times):
            problems[name] = UNTIMED
            continue
        refined = models.place(read(wavs[name]), words)
        if refined is None:
            problems[name], refined = SHORT, times
        timings[name] = WordTiming.of_words(words, refined.tolist())
    write_numbers(folder, REFINED, word_time_rows(timings, texts), np.float32)
    write_ctm(folder / CTM, timings)
    write_rows(folder / PROBLEMS, ("utt", "reason"), sorted(problems.items()))
    return write_summary(folder, record)


def join_refined(parts: Sequence[Path], folder: Path, record: dict) -> dict:
    """Make the refined times of a set of those of its parts, whose arks stay there.

    Args:
        parts: Folders of the parts, in order.
        folder: The set.
        record: Of :func:`made_from`.

    Returns:
        See :func:`write_summary`.

    Raises:
        ValueError: A part is not complete.
    """
    join_parts(parts, folder, [REFINED, f"{REFINED}.scp", PROBLEMS, CTM])
    return write_summary(folder, record)


def write_summary(folder: Path, record: dict) -> dict:
    """Write ``refined.json``, which marks a set or a part as done.

    Args:
        folder: The set, with its refined times.
        record: Of :func:`made_from`.

    Returns:
        What the file says: utterances, those not refined and, where the truth is
        known, how durations agree with it.
    """
    problems = read_rows(folder / PROBLEMS, {"utt": str, "reason": str})
    summary = {"utterances": len(read_table(folder / "text"))}
    summary |= {"not_refined": len(problems), "made_from": record}
    if (folder / "ctm").is_file():
        pairs = pair_words(read_ctm(folder / "ctm"), read_ctm(folder / CTM))
        summary["durations_against_truth"] = score_durations(pairs)
    write_json(folder / SUMMARY, summary)
    return summary


def is_refined(folder: Path, record: dict) -> bool:
    """Whether a set has refined times that were made from these things."""
    if not all((folder / n).is_file() for n in (SUMMARY, f"{REFINED}.scp")):
        return False
    return read_json(folder / SUMMARY)["made_from"] == record
