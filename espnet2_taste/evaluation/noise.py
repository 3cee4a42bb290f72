"""Speech in noise at an exact ratio.

Enters: clean speech (S,) and where noise comes from. Leaves: the mixture, its two
parts, and how loud they are. The ratio is that of the active speech level of ITU-T
P.56 (method B), which pauses do not lower, to the power of the noise; so a recording
with a long silence gets the same noise as one without.

Legend: S samples, T thresholds.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from espnet2.train.class_choices import ClassChoices

from espnet2_taste.data.audio import load_speech

SMOOTHING_SECONDS = 0.03
HANGOVER_SECONDS = 0.2
MARGIN_DB = 15.9
LOWEST_THRESHOLD = -15
HIGHEST_PEAK = 0.999
SPECTRUM_SAMPLES = 1024


def active_level(speech: np.ndarray, sample_rate: int) -> float:
    """Active speech level: the power while somebody speaks.

    Each threshold counts the samples at which the smoothed envelope has been above it
    within the last 200 ms. The level is where the power of the counted samples lies
    15.9 dB above its own threshold (ITU-T P.56, method B).

    Args:
        speech: (S,), any scale.
        sample_rate: Samples a second.

    Returns:
        dB relative to a constant of one.

    Raises:
        ValueError: There is no sound.
    """
    speech = np.asarray(speech, dtype=np.float64)
    peak = np.abs(speech).max(initial=0.0)
    if not peak > 0:
        raise ValueError("the speech is silent: it has no level")
    speech = speech / peak  # thresholds relative to the peak: scale does not matter
    exponents = np.arange(LOWEST_THRESHOLD, 0)
    envelope = _envelope(speech, sample_rate)
    hangover = round(HANGOVER_SECONDS * sample_rate)
    counts = np.array(
        [_active_samples(envelope >= 2.0**e, hangover) for e in exponents]
    )
    audible = counts > 0
    thresholds = 20 * np.log10(2.0) * exponents[audible]  # (T,) dB
    levels = 10 * np.log10((speech**2).sum() / counts[audible])  # (T,) dB
    margins = levels - thresholds  # falls with the threshold
    level = np.interp(-MARGIN_DB, -margins, levels)
    return float(level + 20 * np.log10(peak))


def _envelope(speech: np.ndarray, sample_rate: int) -> np.ndarray:
    """Magnitude smoothed twice by an exponential of 30 ms, (S,)."""
    from scipy.signal import lfilter

    keep = np.exp(-1 / (SMOOTHING_SECONDS * sample_rate))
    once = lfilter([1 - keep], [1, -keep], np.abs(speech))
    return lfilter([1 - keep], [1, -keep], once)


def _active_samples(above: np.ndarray, hangover: int) -> int:
    """Samples at or less than ``hangover`` after one that is above, (S,) bool."""
    places = np.arange(len(above))
    last = np.maximum.accumulate(np.where(above, places, -hangover - 1))
    return int((places - last <= hangover).sum())


def mix_at_snr(
    speech: np.ndarray, noise: np.ndarray, snr_db: float, sample_rate: int
) -> tuple[np.ndarray, float]:
    """Add noise to speech.

    Args:
        speech: (S,).
        noise: (S,), any level.
        snr_db: Active speech level minus level of the noise.
        sample_rate: Samples a second.

    Returns:
        Speech with noise, (S,) float64, its peak below one, and by how many dB all of
        it was changed so that nothing is clipped.

    Raises:
        ValueError: The lengths differ, or one of both is silent.
    """
    speech = np.asarray(speech, dtype=np.float64)
    noise = np.asarray(noise, dtype=np.float64)
    if speech.shape != noise.shape or speech.ndim != 1:
        raise ValueError(f"expected two (S,), found {speech.shape} and {noise.shape}")
    power = np.mean(noise**2) if len(noise) else 0.0
    if not power > 0:
        raise ValueError("the noise is silent: give other recordings of noise")
    wanted = active_level(speech, sample_rate) - snr_db
    noise = noise * (10 ** (wanted / 20) / np.sqrt(power))
    gain = min(1.0, HIGHEST_PEAK / np.abs(speech + noise).max())
    return gain * (speech + noise), float(20 * np.log10(gain))


class AbsNoise(ABC):
    """A kind of noise.

    Args:
        wavs: Recordings of the set that gets the noise.
        noise_wavs: Recordings of noise, by name.
        sample_rate: Of the result, Hz.
    """

    def __init__(
        self, wavs: Mapping[str, str], noise_wavs: Mapping[str, str], sample_rate: int
    ):
        self.wavs, self.noise_wavs, self.sample_rate = wavs, noise_wavs, sample_rate

    @abstractmethod
    def excerpt(self, samples: int, rng: np.random.Generator) -> np.ndarray:
        """Draw noise.

        Args:
            samples: S.
            rng: Random numbers of the utterance.

        Returns:
            (S,), any level.
        """


class WhiteNoise(AbsNoise):
    """All frequencies alike, as in the paper's table."""

    def excerpt(self, samples: int, rng: np.random.Generator) -> np.ndarray:
        """See ``AbsNoise.excerpt``."""
        return rng.standard_normal(samples)


class SpeechShapedNoise(AbsNoise):
    """White noise with the long-term spectrum of the set's own speech."""

    def __init__(self, *material):
        super().__init__(*material)
        from scipy.signal import welch

        power = 0.0
        for path in self.wavs.values():
            speech = load_speech(path, self.sample_rate, keep_silence=True)
            size = min(SPECTRUM_SAMPLES, len(speech))
            _, found = welch(speech, nperseg=size, nfft=SPECTRUM_SAMPLES)
            power = power + len(speech) * found
        self.amplitude = np.sqrt(power)  # (SPECTRUM_SAMPLES / 2 + 1,)

    def excerpt(self, samples: int, rng: np.random.Generator) -> np.ndarray:
        """See ``AbsNoise.excerpt``."""
        spectrum = np.fft.rfft(rng.standard_normal(samples))
        places = np.linspace(0, 1, len(spectrum))
        shape = np.interp(
            places, np.linspace(0, 1, len(self.amplitude)), self.amplitude
        )
        return np.fft.irfft(spectrum * shape, samples)


class RecordedNoise(AbsNoise):
    """Pieces of given recordings; what is too short is repeated.

    Raises:
        ValueError: No recordings are given.
    """

    def __init__(self, *material):
        super().__init__(*material)
        self.names = sorted(self.noise_wavs)
        if not self.names:
            raise ValueError(
                "recorded noise needs recordings: give a wav.scp or a folder of wavs "
                "with --noise_wavs"
            )

    def excerpt(self, samples: int, rng: np.random.Generator) -> np.ndarray:
        """See ``AbsNoise.excerpt``."""
        name = self.names[rng.integers(len(self.names))]
        path = self.noise_wavs[name]
        noise = load_speech(path, self.sample_rate)
        start = rng.integers(max(len(noise) - samples, 0) + 1)
        if len(noise) < samples:
            start = rng.integers(len(noise))
            noise = np.tile(noise, samples // len(noise) + 2)
        return noise[start : start + samples]


noise_choices = ClassChoices(
    name="noise",
    classes={
        "white": WhiteNoise,
        "speech_shaped": SpeechShapedNoise,
        "recorded": RecordedNoise,
    },
    type_check=AbsNoise,
    default="white",
)
