"""Fundamental frequency of clean speech by normalised cross-correlation.

Enters: a waveform (S,), or a set of recordings. Leaves: one value in Hz per hop, (F,),
zero where unvoiced; of a set ``pitch.ark`` and ``pitch.scp``.

The tracker follows Talkin, "A robust algorithm for pitch tracking" (1995), in its
first half: formants are filtered out, then each frame is compared with itself shifted
by every candidate period, and both sides are normalised by their own energy. Of the
peaks that are nearly as high as the highest, the shortest period wins (a period's
multiples correlate as well as the period itself); a second pass lets a frame that
disagrees with its neighbours by about an octave take the peak that agrees with them.

Legend: S samples, F frames, T candidate periods.
"""

from pathlib import Path

import kaldiio
import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.signal import butter, sosfiltfilt
from tqdm import tqdm

from espnet2_taste.data.audio import read_audio
from espnet2_taste.data.files import whole_file
from espnet2_taste.data.kaldi_dir import read_table

WINDOW_SECONDS = 0.025
LOWPASS_HZ = 1000.0
WORKING_RATE = 8000
VOICING_THRESHOLD = 0.75
NEAR_PEAK = 0.93
SILENCE_DB = -30.0
NEIGHBOURS = 7
LARGEST_STEP = 1.35
WEAKEST_NEIGHBOUR = 0.6
CHUNK_FRAMES = 4096


def track_pitch(
    speech: np.ndarray,
    sample_rate: int,
    hop_seconds: float = 0.01,
    fmin: float = 60.0,
    fmax: float = 500.0,
) -> np.ndarray:
    """Measure F0 in every hop of a waveform.

    Args:
        speech: Mono waveform, (S,), any scale.
        sample_rate: Samples a second.
        hop_seconds: Distance of the frames; frame ``i`` is centred at
            ``i * hop_seconds``.
        fmin: Lowest F0 that can be found, Hz.
        fmax: Highest F0 that can be found, Hz.

    Returns:
        F0 in Hz, (F,) float64 with F = 1 + floor(S / (hop_seconds * sample_rate)),
        0 where the frame is unvoiced or silent.

    Raises:
        ValueError: ``speech`` is not one-dimensional or the limits are impossible.

    Example:
        >>> tone = np.sin(2 * np.pi * 200 * np.arange(16000) / 16000)
        >>> float(np.round(np.median(track_pitch(tone, 16000))))
        200.0
    """
    speech = np.asarray(speech, dtype=np.float64)
    if speech.ndim != 1:
        raise ValueError(f"expected a mono waveform (S,), found shape {speech.shape}")
    if not 0 < fmin < fmax <= sample_rate / 2:
        raise ValueError(
            f"expected 0 < fmin < fmax <= {sample_rate / 2} Hz, "
            f"found fmin={fmin}, fmax={fmax}"
        )
    count = 1 + int(len(speech) / (hop_seconds * sample_rate))
    speech, sample_rate = _lowpass(speech, sample_rate, fmax)
    min_lag = int(sample_rate / fmax)
    max_lag = int(np.ceil(sample_rate / fmin))
    frames, loud = _cut_frames(speech, sample_rate, hop_seconds, max_lag, count)
    correlation = _correlate_loud(frames, loud, max_lag)
    peaks = _peak_heights(correlation, min_lag)  # (F, T), -1 where no peak
    voiced = loud & (peaks.max(axis=1) > VOICING_THRESHOLD)
    good = peaks >= NEAR_PEAK * peaks.max(axis=1, keepdims=True)
    lags = min_lag + np.argmax(good, axis=1)  # the first one nearly as high as any
    lags = _agree_with_neighbours(lags, peaks, min_lag, voiced)
    periods = _interpolate(correlation, lags)
    return np.where(voiced, sample_rate / periods, 0.0)


def _correlate_loud(frames: np.ndarray, loud: np.ndarray, max_lag: int) -> np.ndarray:
    """Correlation of frames with themselves, (F, max_lag + 2), 0 where it is silent."""
    correlation = np.zeros((len(frames), max_lag + 2))
    audible = np.flatnonzero(loud)
    for i in range(0, len(audible), CHUNK_FRAMES):
        rows = audible[i : i + CHUNK_FRAMES]
        correlation[rows] = _normalised_correlation(frames[rows], max_lag)
    return correlation


def _lowpass(
    speech: np.ndarray, sample_rate: int, fmax: float
) -> tuple[np.ndarray, float]:
    """Remove formants and keep every n-th sample (``WORKING_RATE`` or more)."""
    cutoff = max(LOWPASS_HZ, 1.5 * fmax)
    step = max(1, sample_rate // WORKING_RATE)
    if cutoff >= 0.45 * sample_rate / step or len(speech) < 32:
        return speech, float(sample_rate)
    filtered = sosfiltfilt(butter(4, cutoff, fs=sample_rate, output="sos"), speech)
    return filtered[::step], sample_rate / step


def _cut_frames(
    speech: np.ndarray,
    sample_rate: float,
    hop_seconds: float,
    max_lag: int,
    count: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Cut centred frames (F, window + max_lag + 2) and mark the audible ones (F,)."""
    window = int(WINDOW_SECONDS * sample_rate)
    span = window + max_lag + 2
    hop = hop_seconds * sample_rate
    padded = np.pad(speech - speech.mean() if len(speech) else speech, span)
    starts = (np.arange(count) * hop).round().astype(int) + span - span // 2
    frames = np.lib.stride_tricks.sliding_window_view(padded, span)[starts]
    power = np.mean(frames**2, axis=1)
    floor = power.max(initial=0.0) * 10 ** (SILENCE_DB / 10)
    return frames, power > max(floor, 1e-20)


def _normalised_correlation(frames: np.ndarray, max_lag: int) -> np.ndarray:
    """Correlate the head of each frame with every shift of it, (F, max_lag + 2)."""
    window = frames.shape[1] - max_lag - 2
    size = next_fast_len(frames.shape[1], real=True)  # no shift leaves the frame
    product = rfft(frames, size) * np.conj(rfft(frames[:, :window], size))
    cross = irfft(product, size)[:, : max_lag + 2]
    energy = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    energy = energy[:, window : window + max_lag + 2] - energy[:, : max_lag + 2]
    return cross / np.sqrt(energy * energy[:, :1] + 1e-12 * energy.max() ** 2 + 1e-30)


def _peak_heights(correlation: np.ndarray, min_lag: int) -> np.ndarray:
    """Keep local maxima from ``min_lag`` on, (F, T); everything else becomes -1."""
    middle = correlation[:, min_lag:-1]
    is_peak = (middle >= correlation[:, min_lag - 1 : -2]) & (
        middle > correlation[:, min_lag + 1 :]
    )
    return np.where(is_peak, middle, -1.0)


def _agree_with_neighbours(
    lags: np.ndarray, peaks: np.ndarray, min_lag: int, voiced: np.ndarray
) -> np.ndarray:
    """Move octave errors to the best peak near the median lag of the neighbourhood."""
    track = np.where(voiced, lags, np.nan)
    padded = np.pad(track, NEIGHBOURS, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEIGHBOURS + 1)
    frames = np.flatnonzero(voiced)
    median = np.nanmedian(around[frames], axis=1)
    ratio = track[frames] / median
    odd = (ratio > LARGEST_STEP) | (ratio < 1 / LARGEST_STEP)
    moved = lags.copy()
    candidates = min_lag + np.arange(peaks.shape[1])
    for frame, expected in zip(frames[odd], median[odd]):
        near = np.abs(candidates - expected) < 0.2 * expected
        heights = np.where(near, peaks[frame], -1.0)
        if heights.max() > WEAKEST_NEIGHBOUR * peaks[frame].max():
            moved[frame] = candidates[np.argmax(heights)]
    return moved


def _interpolate(correlation: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Refine integer lags by a parabola through three points, (F,) in samples."""
    rows = np.arange(len(lags))
    left, middle, right = (correlation[rows, lags + shift] for shift in (-1, 0, 1))
    curvature = left - 2 * middle + right
    safe = np.where(curvature < 0, curvature, -1.0)
    shift = np.where(curvature < 0, 0.5 * (left - right) / safe, 0.0)
    return lags + np.clip(shift, -0.5, 0.5)


def is_measured(folder: Path) -> bool:
    """Whether F0 of exactly the utterances of a set is there.

    Raises:
        ValueError: There is no ``wav.scp``.
    """
    if not (folder / "wav.scp").is_file():
        raise ValueError(f"{folder / 'wav.scp'} is missing; run stage 2 first")
    done = folder / "pitch.scp"
    return done.is_file() and list(read_table(done)) == list(
        read_table(folder / "wav.scp")
    )


def measure_set(folder: Path, fmin: float, fmax: float) -> int:
    """Write ``pitch.ark`` and, last, ``pitch.scp``: F0 in Hz every 10 ms, float32.

    Args:
        folder: Set with wav.scp.
        fmin: Lowest F0, Hz.
        fmax: Highest F0, Hz.

    Returns:
        Utterances measured.

    Raises:
        ValueError: Audio cannot be read.
    """
    wavs, scp = read_table(folder / "wav.scp"), folder / "pitch.scp"
    with (
        whole_file(scp) as part,
        kaldiio.WriteHelper(f"ark,scp:{folder / 'pitch.ark'},{part}") as writer,
    ):
        for utterance, path in tqdm(wavs.items(), desc="pitch"):
            try:
                speech, rate = read_audio(path)
            except ValueError as error:
                raise ValueError(
                    f"utterance {utterance}: {error}; run stage 2 again"
                ) from error
            pitch = track_pitch(speech, rate, fmin=fmin, fmax=fmax)
            writer(utterance, pitch.astype("float32"))
    return len(wavs)
