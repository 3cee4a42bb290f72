"""Frames of speech that models of letters read.

Enters: a recording (S,). Leaves: frames (F, D), 100 a second. Legend: S samples, F
frames, D features.
"""

import numpy as np
import torch
import torchaudio

from espnet2_taste.data.audio import resample

SAMPLE_RATE = 16000


class Cepstra:
    """Cepstra of mel bands with their first and second differences.

    Args:
        sample_rate: Of the recordings, in Hz.
    """

    NUM_CEPSTRA = 13
    SIZE = 3 * NUM_CEPSTRA

    def __init__(self, sample_rate: int = SAMPLE_RATE):
        self.sample_rate = sample_rate
        spectrum = {"n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40}
        self.cepstra = torchaudio.transforms.MFCC(
            SAMPLE_RATE, self.NUM_CEPSTRA, melkwargs=spectrum
        )

    def __call__(self, speech: np.ndarray) -> np.ndarray:
        """Frames (F, D) of a recording (S,), without its mean."""
        wave = torch.from_numpy(resample(speech, self.sample_rate, SAMPLE_RATE))
        cepstra = self.cepstra(wave)  # (D / 3, F)
        cepstra = cepstra - cepstra.mean(1, keepdim=True)
        first = torchaudio.functional.compute_deltas(cepstra)
        second = torchaudio.functional.compute_deltas(first)
        return torch.cat([cepstra, first, second]).T.numpy()
