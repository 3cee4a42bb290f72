"""Pitch and style tokens for the expressive design, without trained classifiers.

Enters: speech. Leaves: pitch tokens (12.5 a second: k-means of the logarithm of F0
relative to the utterance's median, the last token is unvoiced) and style tokens (one a
second: k-means of coarse spectrum, energy and pitch). A row made from them must say so:
the original's style tokens came from a trained model.

Legend: S samples, F hops of 10 ms, P pitch tokens, Y style tokens, M mel bands.
"""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from espnet2_taste.data.audio import read_audio
from espnet2_taste.data.log_mel import LogMel
from espnet2_taste.experiment_files import load_weights
from espnet2_taste.metrics.pitch import track_pitch
from espnet2_taste.units.kmeans import FrameDraw, fit_kmeans, nearest

PITCH_HOPS, STYLE_HOPS, BANDS = 8, 100, 16
WEIGHTS = "expression.pth"


def relative_pitch(f0: np.ndarray) -> np.ndarray:
    """Pitch of each token.

    Args:
        f0: Hz of each hop, 0 where unvoiced, (F,).

    Returns:
        Mean log F0 of the token's voiced hops less the utterance's median, (P,); nan
        where most hops are unvoiced.
    """
    voiced = f0 > 0
    log = np.log(np.where(voiced, f0, 1.0))
    middle = np.median(log[voiced]) if voiced.any() else 0.0
    values = []
    for start in range(0, len(f0), PITCH_HOPS):
        inside = voiced[start : start + PITCH_HOPS]
        part = log[start : start + PITCH_HOPS][inside]
        enough = 2 * inside.sum() >= len(inside)
        values.append(part.mean() - middle if enough else np.nan)
    return np.array(values)


@lru_cache
def _log_mel(rate: int) -> LogMel:
    """Spectra of the bands of style."""
    return LogMel(sample_rate=rate, n_mels=BANDS)


def style_features(speech: np.ndarray, rate: int, f0: np.ndarray) -> np.ndarray:
    """What a style token is made of.

    Args:
        speech: (S,).
        rate: Samples a second.
        f0: Hz of each hop, (F,).

    Returns:
        Coarse log spectrum, its deviation in time, pitch, its deviation and the share
        of voiced hops, (Y, BANDS + 4).
    """
    wave, lengths = torch.from_numpy(speech)[None], torch.tensor([len(speech)])
    mel = _log_mel(rate)(wave, lengths)[0][0].numpy()  # (T, M)
    count = max(-(-len(f0) // STYLE_HOPS), 1)
    rows = []
    parts = zip(np.array_split(mel, count), np.array_split(f0, count))
    for spectrum, pitch in parts:
        voiced = np.log(pitch[pitch > 0]) if (pitch > 0).any() else np.zeros(1)
        energy = spectrum.mean(axis=1).std()
        shape = (energy, voiced.mean(), voiced.std(), (pitch > 0).mean())
        rows.append([*spectrum.mean(axis=0), *shape])
    return np.array(rows)


class ExpressionTables:
    """Centroids of pitch and style.

    Args:
        pitch: (P - 1, 1); the last pitch token, unvoiced, has none.
        style: (Y, D), of standardised features.
        mean: Of the features, (D,).
        deviation: Of the features, (D,).
    """

    def __init__(self, pitch, style, mean, deviation):
        self.pitch, self.style = pitch, style
        self.mean, self.deviation = mean, deviation

    @classmethod
    def fit(
        cls,
        paths: Iterable[str | Path],
        num_pitch: int,
        num_style: int,
        seed: int = 0,
        max_frames: int = 400000,
    ) -> "ExpressionTables":
        """Learn from a set.

        Args:
            paths: Its recordings.
            num_pitch: Pitch tokens, unvoiced among them.
            num_style: Style tokens.
            seed: Of the k-means, and of the draw.
            max_frames: Values of pitch, and rows of style, that are held and learned
                from: drawn at random from a larger set (400,000 of pitch are those of
                about 15 hours).

        Returns:
            The tables.

        Raises:
            ValueError: Fewer than two tokens of a kind, or nothing is voiced.
        """
        if min(num_pitch, num_style) < 2:
            raise ValueError(
                f"expected at least 2 pitch and style tokens, found {num_pitch} and "
                f"{num_style}: set --num_pitch and --num_style"
            )
        pitch, style = FrameDraw(max_frames, seed), FrameDraw(max_frames, seed)
        for path in paths:
            speech, rate = read_audio(path)
            f0 = track_pitch(speech, rate)
            values = torch.tensor(relative_pitch(f0), dtype=torch.float32)
            pitch.add(values[~values.isnan()].unsqueeze(1))
            rows = style_features(speech, rate, f0)
            style.add(torch.tensor(rows, dtype=torch.float32))
        voiced, features = pitch.frames(), style.frames()
        mean, deviation = features.mean(0), features.std(0).clamp(min=1e-3)
        return cls(
            fit_kmeans(voiced, num_pitch - 1, seed),
            fit_kmeans((features - mean) / deviation, num_style, seed),
            mean,
            deviation,
        )

    def tokens(self, speech: np.ndarray, rate: int) -> tuple[list[int], list[int]]:
        """Tokens of an utterance.

        Args:
            speech: (S,).
            rate: Samples a second.

        Returns:
            Pitch tokens and style tokens.
        """
        f0 = track_pitch(speech, rate)
        values = relative_pitch(f0)
        unvoiced = torch.from_numpy(np.isnan(values))
        places = torch.tensor(np.nan_to_num(values), dtype=torch.float32)[:, None]
        pitch = nearest(places, self.pitch).masked_fill(unvoiced, len(self.pitch))
        rows = torch.tensor(style_features(speech, rate, f0), dtype=torch.float32)
        style = nearest((rows - self.mean) / self.deviation, self.style)
        return pitch.tolist(), style.tolist()

    def save(self, folder: str | Path) -> None:
        """Write the tables."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        torch.save(vars(self), Path(folder) / WEIGHTS)

    @classmethod
    def load(cls, folder: str | Path) -> "ExpressionTables":
        """Read the tables."""
        return cls(**load_weights(Path(folder) / WEIGHTS))
