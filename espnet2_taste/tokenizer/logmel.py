"""Whisper's log-mel spectrogram.

Enters: 16 kHz waveforms (B, S). Leaves: log-mel features (B, T, M), one frame for
each 10 ms. Legend: B utterances, S samples, T mel frames, M mel bins.

The definition is the one Whisper was trained with (TASTE.md, section 1): 400-point
STFT, Slaney mel filters, log10 floored 8 below the clip's maximum, (x + 4) / 4.
"""

import torch
from torch import nn

from espnet2_taste.masks import length_mask
from espnet2_taste.precision import in_float32

SAMPLE_RATE = 16000
N_FFT = 400
HOP = 160
WINDOW_SECONDS = 30
WINDOW_SAMPLES = WINDOW_SECONDS * SAMPLE_RATE


class WhisperLogMel(nn.Module):
    """Log-mel features as Whisper's feature extractor makes them.

    Args:
        num_mels: 80, or 128 for large-v3 and its descendants.
    """

    def __init__(self, num_mels: int = 128):
        from transformers.audio_utils import mel_filter_bank  # takes seconds

        super().__init__()
        bins, top = N_FFT // 2 + 1, SAMPLE_RATE / 2
        scale = {"norm": "slaney", "mel_scale": "slaney"}
        filters = mel_filter_bank(bins, num_mels, 0.0, top, SAMPLE_RATE, **scale)
        filters = torch.from_numpy(filters.T).float().contiguous()  # (M, bins)
        self.register_buffer("filters", filters, persistent=False)
        window = torch.hann_window(N_FFT)
        self.register_buffer("window", window, persistent=False)

    @in_float32
    def forward(self, speech: torch.Tensor) -> torch.Tensor:
        """Features of waveforms as they are, without padding.

        Args:
            speech: (B, S) at 16 kHz, in [-1, 1].

        Returns:
            (B, S // 160, M).
        """
        spectrum = torch.stft(
            speech, N_FFT, HOP, window=self.window, center=True, return_complex=True
        )
        power = spectrum[..., :-1].abs().square()  # (B, n_fft // 2 + 1, T)
        log_mel = (self.filters @ power).clamp(min=1e-10).log10()  # (B, M, T)
        floor = log_mel.amax(dim=(1, 2), keepdim=True) - 8.0
        return (torch.maximum(log_mel, floor).transpose(1, 2) + 4.0) / 4.0  # (B, T, M)


def pad_to_window(speech: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Silence after each utterance's end, up to 30 s.

    Args:
        speech: (B, S); what lies behind an utterance's end is ignored.
        lengths: Valid samples, (B,).

    Returns:
        (B, 480000).

    Raises:
        ValueError: An utterance is longer than 30 s.
    """
    longest = int(lengths.max())
    if longest > WINDOW_SAMPLES:
        raise ValueError(
            f"utterance of {longest / SAMPLE_RATE:.1f} s, but the Whisper encoder's "
            f"window is {WINDOW_SECONDS} s: cut the audio (data format "
            f"--max_duration {WINDOW_SECONDS})"
        )
    valid = length_mask(lengths, longest)
    speech = speech[:, :longest] * valid
    return nn.functional.pad(speech, (0, WINDOW_SAMPLES - longest))
