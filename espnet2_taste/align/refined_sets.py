"""Word times of whole sets made finer by models of letters.

Enters: sets with ``wav.scp``, ``text`` and ``word_times`` of an aligner. Leaves in each
``word_times_refined`` (as a table, and as ark and scp for trainings), ``ctm_refined``
(the same words in Kaldi's form), ``not_refined.tsv`` (utterances that keep their first
times, and why) and last ``refined.json``. The models are trained on some of the sets,
whatever is refined.

Legend: F frames, D features, W words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torchaudio

from espnet2_taste.align.letter_models import LetterModels, TimedFrames
from espnet2_taste.data.arks import write_numbers
from espnet2_taste.data.audio import load_speech
from espnet2_taste.data.ctm import read_ctm, write_ctm, write_rows
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.metrics.durations import pair_words, score_durations
from espnet2_taste.metrics.tables import write_json
from espnet2_taste.structures import WordTiming

SAMPLE_RATE = 16000
FIRST, REFINED = "word_times", "word_times_refined"
CTM = "ctm_refined"
SUMMARY, PROBLEMS = "refined.json", "not_refined.tsv"
UNTIMED = "its words have no times yet"
SHORT = "more letters than its frames can hold"


class FrameReader:
    """Cepstra with their first and second differences, 100 a second."""

    def __init__(self):
        spectrum = {"n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40}
        self.cepstra = torchaudio.transforms.MFCC(SAMPLE_RATE, 13, melkwargs=spectrum)

    def __call__(self, wav: str) -> np.ndarray:
        """Frames (F, D) of a recording, without its mean."""
        wave = torch.from_numpy(load_speech(wav, SAMPLE_RATE, keep_silence=True))
        cepstra = self.cepstra(wave)  # (D / 3, F)
        cepstra = cepstra - cepstra.mean(1, keepdim=True)
        first = torchaudio.functional.compute_deltas(cepstra)
        second = torchaudio.functional.compute_deltas(first)
        return torch.cat([cepstra, first, second]).T.numpy()


def read_first_times(folder: Path) -> dict[str, np.ndarray]:
    """Begin and end of the words of each utterance, (W, 2).

    Raises:
        ValueError: The set was not aligned.
    """
    if not (folder / FIRST).is_file():
        raise ValueError(f"{folder / FIRST} not found: run recognize align first")
    rows = read_table(folder / FIRST)
    return {
        name: np.array(row.split(), dtype=float).reshape(-1, 2)
        for name, row in rows.items()
    }


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


def refine_set(models: LetterModels, folder: Path) -> dict:
    """Refine one set.

    Args:
        models: Trained models.
        folder: The set.

    Returns:
        What ``refined.json`` says: utterances, those not refined and, where the truth
        is known, how durations agree with it.
    """
    wavs, texts = read_table(folder / "wav.scp"), read_table(folder / "text")
    read, rows, problems, timings = FrameReader(), {}, {}, {}
    for name, times in read_first_times(folder).items():
        words = texts[name].split()
        refined = models.place(read(wavs[name]), words) if _timed(times) else None
        if refined is None:
            problems[name] = SHORT if _timed(times) else UNTIMED
            refined = times
        rows[name] = " ".join(f"{value:.4f}" for value in refined.ravel())
        timings[name] = [
            WordTiming(word, begin, end - begin)
            for word, (begin, end) in zip(words, refined.tolist())
        ]
    write_numbers(folder, REFINED, rows, np.float32)
    write_ctm(folder / CTM, timings)
    write_rows(folder / PROBLEMS, ("utt", "reason"), sorted(problems.items()))
    summary = {"utterances": len(rows), "not_refined": len(problems)}
    if (folder / "ctm").is_file():
        pairs = pair_words(read_ctm(folder / "ctm"), timings)
        summary["durations_against_truth"] = asdict(score_durations(pairs))
    write_json(folder / SUMMARY, summary)
    return summary


def is_refined(folder: Path) -> bool:
    """Whether a set was refined after its first times were made."""
    if not (folder / SUMMARY).is_file() or not (folder / FIRST).is_file():
        return False
    made = (folder / FIRST).stat().st_mtime
    return (folder / SUMMARY).stat().st_mtime >= made
