"""Everything that is measured on a resynthesized set against the original recordings.

Enters: a set as prepared by stages 2 to 4 and the word times, transcripts and audio
of its resynthesis. Leaves: word errors, durations and F0 as plain numbers, and the
paired values themselves for pictures. Original and resynthesis are aligned by the
same aligner; where a set knows the true word times, they are compared as well.

Legend: W words, P pitch frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espnet2_taste.align.sets import AlignedSet
from espnet2_taste.data.audio import read_audio
from espnet2_taste.data.ctm import read_ctm
from espnet2_taste.data.kaldi_dir import read_kaldi_dir, read_table
from espnet2_taste.evaluation.noisy_sets import CLEAN_TIMES, clean_recordings
from espnet2_taste.metrics.durations import WordPairs, pair_words, score_durations
from espnet2_taste.metrics.pitch import track_pitch
from espnet2_taste.metrics.word_pitch import score_pitch, word_mean_f0
from espnet2_taste.structures import WordTiming
from espnet2_taste.text.preparation import corpus_text


@dataclass(frozen=True)
class OriginalSet:
    """What is known about the recordings of a set.

    Attributes:
        name: The set.
        wavs: Audio of each utterance.
        texts: Words of each utterance.
        spoken: What word errors are counted against: the same, unless the words are
            those of a recognizer.
        speakers: Speaker of each utterance.
        timings: Word times by the aligner.
        refined: The same made finer, where the recipe does that; else those.
        truth: True word times; empty if unknown.
        recognized: Text by the recipe's ASR; empty if unknown.
        word_f0: Mean F0 of the words of each utterance, Hz, nan where unvoiced.
    """

    name: str
    wavs: dict[str, str]
    texts: dict[str, str]
    spoken: Mapping[str, str]
    speakers: dict[str, str]
    timings: dict[str, list[WordTiming]]
    refined: dict[str, list[WordTiming]]
    truth: dict[str, list[WordTiming]]
    recognized: dict[str, str]
    word_f0: dict[str, np.ndarray]


def read_pitch(path: str) -> np.ndarray:
    """F0 of a file in every hop of 10 ms, (P,)."""
    speech, rate = read_audio(path)
    return track_pitch(speech, rate)


def measure_word_f0(
    wavs: Mapping[str, str], timings: Mapping[str, list[WordTiming]]
) -> dict[str, np.ndarray]:
    """Mean F0 of every word of a set.

    Args:
        wavs: Audio of each utterance.
        timings: Words of each utterance.

    Returns:
        Hz of the words of each utterance, nan where unvoiced, (W,) each.
    """
    from tqdm import tqdm

    return {
        name: word_mean_f0(read_pitch(wavs[name]), words)
        for name, words in tqdm(timings.items(), desc="F0")
    }


def read_original(folder: Path) -> OriginalSet:
    """Read a set that has been through stage 4 and measure its F0.

    Of a noisy set (``data noise``) word times and F0 are those of its clean
    recordings, as far as they are there: noise must not change what is compared with.

    Args:
        folder: The set.

    Returns:
        The recordings.

    Raises:
        ValueError: A file is missing.
    """
    tables = read_kaldi_dir(folder)
    clean = clean_recordings(folder) or tables.wav
    clean_times = folder / CLEAN_TIMES
    timings = read_ctm(clean_times if clean_times.is_file() else folder / "ctm_aligned")
    finer = folder / "ctm_refined"
    truth = read_ctm(folder / "ctm") if (folder / "ctm").is_file() else {}
    recognized_file = folder / "text_asr"
    return OriginalSet(
        name=folder.name,
        wavs=tables.wav,
        texts=tables.text,
        spoken=corpus_text(folder, tables.text),
        speakers=tables.utt2spk,
        timings=timings,
        refined=read_ctm(finer) if finer.is_file() else timings,
        truth=truth,
        recognized=read_table(recognized_file) if recognized_file.is_file() else {},
        word_f0=measure_word_f0(clean, timings),
    )


def score_original(original: OriginalSet) -> dict:
    """Word errors and, with known truth, how good the aligner is on the recordings."""
    aligned = AlignedSet(original.timings, original.recognized, {})
    scores = (
        {"wer": aligned.errors(original.spoken).as_dict()}
        if original.recognized
        else {}
    )
    if original.truth:
        pairs = pair_words(original.truth, original.timings)
        scores["durations_against_truth"] = score_durations(pairs)
    return scores


def score_rendition(
    original: OriginalSet,
    aligned: AlignedSet,
    wavs: Mapping[str, str],
    tolerance: float = 0.05,
    predicted: Mapping[str, list[WordTiming]] | None = None,
) -> tuple[dict, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Compare a resynthesized set with the original.

    Args:
        original: The recordings.
        aligned: Word times and transcripts of the resynthesis.
        wavs: Its audio.
        tolerance: Seconds within which two durations count as equal.
        predicted: Word times that the unit decoder chose, if it says them; compared
            with the refined ones of the recordings.

    Returns:
        Numbers (``wer``, ``durations``, ``durations_predicted``,
        ``durations_against_truth``, ``pitch``, ``left_out``); and, for pictures, the
        ``durations`` in seconds and ``f0`` in Hz, nan where unvoiced, of each word in
        the original and in the resynthesis, two arrays of (W,) each.
    """
    pairs = pair_words(original.timings, aligned.timings)
    word_f0 = measure_word_f0(wavs, aligned.timings)
    first = _values(original.word_f0, pairs)
    second = _values(word_f0, pairs)
    speakers = [original.speakers[name] for name in pairs.utterances]
    scores = {
        "wer": aligned.errors(original.spoken).as_dict(),
        "durations": score_durations(pairs, tolerance),
        "pitch": score_pitch(first, second, speakers, pairs.utterances),
        "left_out": pairs.left_out | aligned.problems,
    }
    if predicted:
        chosen = pair_words(original.refined, predicted)
        scores["durations_predicted"] = score_durations(chosen, tolerance)
    if original.truth:
        against = pair_words(original.truth, aligned.timings)
        scores["durations_against_truth"] = score_durations(against, tolerance)
    return scores, {"durations": pairs.durations(), "f0": (first, second)}


def _values(by_utterance: Mapping[str, np.ndarray], pairs: WordPairs) -> np.ndarray:
    """Values of the paired words in their order, (W,)."""
    names = list(dict.fromkeys(pairs.utterances))
    parts = [by_utterance[name] for name in names]
    return np.concatenate(parts) if parts else np.zeros(0)
