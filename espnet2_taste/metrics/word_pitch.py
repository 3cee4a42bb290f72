"""Mean F0 of words, and whether two readings agree in it.

Enters: waveforms and word times. Leaves: mean F0 of the voiced part of each word and
correlations over all words (voices differ, so this is easy), within speakers, and
within utterances.

Legend: S samples, P pitch frames, W words.
"""

from collections.abc import Sequence

import numpy as np

from espnet2_taste.metrics.statistics import mean, pearson, pearson_within
from espnet2_taste.structures import WordTiming

HOP_SECONDS = 0.01
MIN_VOICED_FRAMES = 2


def word_mean_f0(pitch: np.ndarray, timings: Sequence[WordTiming]) -> np.ndarray:
    """Mean F0 of each word.

    Args:
        pitch: Hz in each frame, 0 where unvoiced; frame i is at 10 i ms, (P,).
        timings: Words with their times, (W,).

    Returns:
        Hz, nan for words with fewer than two voiced frames, (W,).
    """
    times = np.arange(len(pitch)) * HOP_SECONDS
    means = np.full(len(timings), np.nan)
    for index, timing in enumerate(timings):
        inside = pitch[(times >= timing.start) & (times < timing.end)]
        voiced = inside[inside > 0]
        if len(voiced) >= MIN_VOICED_FRAMES:
            means[index] = voiced.mean()
    return means


def score_pitch(
    reference: Sequence[float],
    rendition: Sequence[float],
    speakers: Sequence[str],
    utterances: Sequence[str],
) -> dict[str, float]:
    """Compare mean F0 of paired words.

    Args:
        reference: Hz of each word, nan where unvoiced, (W,).
        rendition: Hz of the same words in the other reading, (W,).
        speakers: Speaker of each word, (W,).
        utterances: Utterance of each word, (W,).

    Returns:
        Over ``words`` voiced in both readings: correlation ``pearson``, within speakers
        ``pearson_within_speaker`` and utterances ``pearson_within_utterance``,
        ``mean_absolute_semitones`` (12 log2 of the ratio); and how many words are
        ``unvoiced`` in one of both.
    """
    first, second = np.asarray(reference, float), np.asarray(rendition, float)
    voiced = np.isfinite(first) & np.isfinite(second)
    first, second = first[voiced], second[voiced]
    speaker, utterance = np.asarray(speakers)[voiced], np.asarray(utterances)[voiced]
    semitones = np.abs(12 * np.log2(second / first))
    return {
        "words": int(voiced.sum()),
        "unvoiced": int((~voiced).sum()),
        "pearson": pearson(first, second),
        "pearson_within_speaker": pearson_within(first, second, speaker),
        "pearson_within_utterance": pearson_within(first, second, utterance),
        "mean_absolute_semitones": mean(semitones),
    }
