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
HOP_SECONDS = 0.01


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


class Renderer:
    """Makes utterances, one after the other, with the synthesizer of its process.

    Two utterances in a row that begin with the same take share its samples: the
    synthesizer itself would never say it twice in exactly the same way.
    """

    def __init__(self):
        self._synthesizer = Synthesizer()
        self._latest: tuple[Take, Recording] | None = None

    def render(self, utterance: Utterance) -> tuple[np.ndarray, list[WordTruth]]:
        """Make one utterance.

        Args:
            utterance: What to make.

        Returns:
            Samples (S,) float32 at 16 kHz and the truth about its words.
        """
        if self._latest is None or self._latest[0] != utterance.take:
            self._latest = (utterance.take, _speak(self._synthesizer, utterance.take))
        recording, rate = self._latest[1], self._synthesizer.sample_rate
        styles = _styles(utterance.take)
        if utterance.ending is not None:
            ending = _speak(self._synthesizer, utterance.ending)
            recording = join(recording, ending, utterance.cut, rate)
            styles[utterance.cut :] = _styles(utterance.ending)[utterance.cut :]
        truth = measure(recording, styles, rate)
        return resample(recording.samples, rate, SAMPLE_RATE), truth


def measure(
    recording: Recording, styles: list[tuple[str, int, int]], sample_rate: int
) -> list[WordTruth]:
    """Mean F0 of each word, with its place and what was asked for.

    Args:
        recording: Samples with the places of W words.
        styles: Word, rate and pitch of each word, W of them.
        sample_rate: Samples a second.

    Returns:
        The truth about each word, W of them.
    """
    f0 = track_pitch(recording.samples, sample_rate, HOP_SECONDS)
    truth = []
    for (word, rate, pitch), start, end in zip(
        styles, recording.starts / sample_rate, recording.ends / sample_rate
    ):
        first, last = np.ceil(np.array([start, end]) / HOP_SECONDS).astype(int)
        voiced = f0[first:last][f0[first:last] > 0]
        mean = float(voiced.mean()) if len(voiced) else float("nan")
        truth.append(WordTruth(word, start, end - start, mean, rate, pitch))
    return truth


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
