"""Log-mel spectrogram of a vocoder: natural log of mel-weighted magnitudes.

Legend: B utterances, S samples, F frames, M mel bands, K = n_fft / 2 + 1 bins.
Speech is padded with zeros, so padding an utterance never changes its frames.
"""

import torch
import torchaudio

from espnet2_taste.masks import length_mask
from espnet2_taste.precision import in_float32

FLOOR = 1.0e-5


class LogMel(torch.nn.Module):
    """Speech to log-mel, (B, S) to (B, F, M).

    Args:
        sample_rate: Samples a second.
        n_fft: FFT size.
        win_length: Hann window, samples.
        hop_length: Samples between frames.
        n_mels: M, number of mel bands.
        fmin: Lower edge of the first band, Hz.
        fmax: Upper edge of the last band, Hz; None means half the sample rate.
        center: Frame j is centred on sample ``j * hop_length`` (F = S // hop + 1);
            otherwise frames tile the speech (F = S // hop), as the published flow has.
        mel_scale: ``slaney`` or ``htk``.
        mel_norm: ``slaney`` gives every band the same area; None the same height.
        floor: Smallest magnitude.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_fft: int = 1024,
        win_length: int = 640,
        hop_length: int = 160,
        n_mels: int = 80,
        fmin: float = 0.0,
        fmax: float | None = None,
        center: bool = True,
        mel_scale: str = "slaney",
        mel_norm: str | None = "slaney",
        floor: float = FLOOR,
    ):
        super().__init__()
        if not hop_length <= win_length <= n_fft:
            raise ValueError(
                "a mel spectrogram needs hop_length <= win_length <= n_fft, found "
                f"{hop_length}, {win_length}, {n_fft}"
            )
        self.sample_rate = sample_rate
        self.n_fft = n_fft
        self.win_length = win_length
        self.hop_length = hop_length
        self.n_mels = n_mels
        self.fmin = float(fmin)
        self.fmax = float(fmax or sample_rate / 2)
        self.center = center
        self.mel_scale = mel_scale
        self.mel_norm = mel_norm
        self.floor = floor
        self.register_buffer("window", torch.hann_window(win_length), persistent=False)
        with torch.device("cpu"):  # it looks for empty bands
            filters = torchaudio.functional.melscale_fbanks(
                n_fft // 2 + 1,
                f_min=self.fmin,
                f_max=self.fmax,
                n_mels=n_mels,
                sample_rate=sample_rate,
                norm=mel_norm,
                mel_scale=mel_scale,
            )
        self.register_buffer("filters", filters, persistent=False)  # (K, M)

    def band_frequencies(self) -> torch.Tensor:
        """Centre of each band in Hz, the mean of its bins by weight, (M,)."""
        bins = torch.linspace(0, self.sample_rate / 2, self.filters.size(0))
        weight = self.filters.sum(dim=0).clamp(min=FLOOR**2)
        return (bins @ self.filters) / weight

    def frame_lengths(self, speech_lengths: torch.Tensor) -> torch.Tensor:
        """Valid frames (B,) of utterances with these many samples (B,)."""
        return speech_lengths // self.hop_length + int(self.center)

    @in_float32
    def forward(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-mel of a batch.

        Args:
            speech: (B, S), zeros or anything else at padding.
            speech_lengths: Valid samples, (B,).

        Returns:
            Log-mel (B, F, M), the floor's log at padding, and valid frames (B,).
        """
        valid = length_mask(speech_lengths, speech.size(1))
        speech = speech.masked_fill(~valid, 0.0)
        side = (self.n_fft - (0 if self.center else self.hop_length)) // 2
        spectrum = self.stft(torch.nn.functional.pad(speech, (side, side)))
        mel = spectrum.abs().transpose(1, 2) @ self.filters  # (B, F, M)
        lengths = self.frame_lengths(speech_lengths)
        mel = mel.masked_fill(~length_mask(lengths, mel.size(1)).unsqueeze(2), 0.0)
        return mel.clamp(min=self.floor).log(), lengths

    def stft(self, padded: torch.Tensor) -> torch.Tensor:
        """Complex spectrum (B, K, F) of speech that carries its own padding (B, S)."""
        return torch.stft(
            padded,
            self.n_fft,
            hop_length=self.hop_length,
            win_length=self.win_length,
            window=self.window,
            center=False,
            return_complex=True,
        )
