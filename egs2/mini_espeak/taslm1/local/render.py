"""From a planned utterance to samples and the truth about every word.

Enters: ``Utterance``. Leaves: samples (S,) at 16 kHz, without long silence at either
end, and one ``WordTruth`` per word: start, duration, mean F0, and the rate and pitch
that were asked for.
"""

from dataclasses import dataclass

import numpy as np
from espeak import Synthesizer
from plan import Take, Utterance

from espnet2_taste.data.audio import resample
from espnet2_taste.metrics.pitch import track_pitch

SAMPLE_RATE = 16000
MARGIN_SECONDS = 0.06
FADE_SECONDS = 0.004
AUDIBLE = 10 ** (-40 / 20)
HOP_SECONDS = 0.005


@dataclass(frozen=True)
class WordTruth:
    """One word as it was synthesized; times in seconds, F0 in Hz (NaN: unvoiced)."""

    word: str
    start: float
    duration: float
    f0: float
    rate: int
    pitch: int


@dataclass(frozen=True)
class Recording:
    """Samples (S,) with the first sample (W,) and the last sample + 1 of each word."""

    samples: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def render(
    synthesizer: Synthesizer, utterance: Utterance
) -> tuple[np.ndarray, list[WordTruth]]:
    """Make one utterance.

    Args:
        synthesizer: The process's synthesizer.
        utterance: What to make.

    Returns:
        Samples (S,) float32 at 16 kHz and the truth about its words.
    """
    recording = _speak(synthesizer, utterance.take)
    styles = _styles(utterance.take)
    if utterance.ending is not None:
        ending = _speak(synthesizer, utterance.ending)
        recording = join(recording, ending, utterance.cut, synthesizer.sample_rate)
        styles[utterance.cut :] = _styles(utterance.ending)[utterance.cut :]
    rate = synthesizer.sample_rate
    f0 = track_pitch(recording.samples, rate, HOP_SECONDS)
    truth = []
    for (word, asked_rate, pitch), start, end in zip(
        styles, recording.starts, recording.ends
    ):
        inside = f0[int(np.ceil(start / rate / HOP_SECONDS)) :]
        inside = inside[: max(1, int((end - start) / rate / HOP_SECONDS))]
        voiced = inside[inside > 0]
        mean = float(voiced.mean()) if len(voiced) else float("nan")
        truth.append(
            WordTruth(word, start / rate, (end - start) / rate, mean, asked_rate, pitch)
        )
    return resample(recording.samples, rate, SAMPLE_RATE), truth


def join(first: Recording, second: Recording, cut: int, rate: int) -> Recording:
    """Take ``cut`` words of the first recording and the rest of the second.

    The joint is faded over a few milliseconds; word times stay exact.

    Args:
        first: Recording of a text.
        second: Another recording of the same text.
        cut: Number of words of the first, between 1 and W - 1.
        rate: Samples a second.

    Returns:
        The joined recording.
    """
    left, right = first.starts[cut], second.starts[cut]
    fade = min(int(FADE_SECONDS * rate), left, right)
    weight = np.linspace(0.0, 1.0, fade, dtype=np.float32)
    mixed = (
        first.samples[left - fade : left] * (1 - weight)
        + second.samples[right - fade : right] * weight
    )
    samples = np.concatenate(
        [first.samples[: left - fade], mixed, second.samples[right:]]
    )
    shift = left - right
    return Recording(
        samples,
        np.concatenate([first.starts[:cut], second.starts[cut:] + shift]),
        np.concatenate([first.ends[:cut], second.ends[cut:] + shift]),
    )


def _speak(synthesizer: Synthesizer, take: Take) -> Recording:
    """Synthesize, cut off the silence at both ends and find where words end."""
    samples, starts = synthesizer.speak(take.phrases, take.voice)
    loud = np.flatnonzero(np.abs(samples) > AUDIBLE * np.abs(samples).max())
    margin = int(MARGIN_SECONDS * synthesizer.sample_rate)
    begin = max(0, loud[0] - margin)
    end = min(len(samples), loud[-1] + margin)
    starts = np.maximum(starts, loud[0]) - begin
    last = loud[-1] + 1 - begin
    return Recording(samples[begin:end], starts, np.append(starts[1:], last))


def _styles(take: Take) -> list[tuple[str, int, int]]:
    """Word, rate and pitch of each word of a take."""
    return [
        (word, phrase.rate, phrase.pitch)
        for phrase in take.phrases
        for word in phrase.words
    ]
