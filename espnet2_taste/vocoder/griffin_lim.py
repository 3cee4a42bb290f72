"""Log-mel to waveform without a network: mel inversion, then fast Griffin-Lim.

Legend: B utterances, F frames, M mel bands, K frequency bins, S = F * hop samples.
Where an F0 track is at hand, a pulse and noise source gives the first phases and the
fine structure of the magnitudes, so that harmonics which 80 mel bands cannot resolve
are still there. Sources: Griffin and Lim 1984; Perraudin, Balazs and Soendergaard 2013
(momentum); Lee and Seung 2001 (multiplicative non-negative least divergence).

Every item is followed by silence, so a batch gives what its items give alone. A piece
of an utterance begins with the source, and so the phases, that the whole has there;
what its edges change fades with the distance from them.
"""

import torch

from espnet2_taste.data.log_mel import FLOOR, LogMel
from espnet2_taste.masks import length_mask
from espnet2_taste.vocoder.abs_renderer import AbsRenderer
from espnet2_taste.vocoder.excitation import AbsSource, VoiceSource

TINY = 1.0e-8
CONTEXT = 12
"""Frames from the edge of a piece behind which its samples are those of the whole, but
for less than a ten thousandth of their energy."""


def invert_mel(
    mel: torch.Tensor, filters: torch.Tensor, start: torch.Tensor, num_iters: int
) -> torch.Tensor:
    """Non-negative magnitudes whose mel bands match, close to a given start.

    Each step multiplies by a smooth gain, so fine structure of ``start`` that the mel
    bands cannot see survives.

    Args:
        mel: Mel magnitudes, (B, F, M).
        filters: Mel filter bank, (K, M).
        start: Positive magnitudes to begin with, (B, F, K).
        num_iters: Multiplicative steps.

    Returns:
        Magnitudes, (B, F, K).
    """
    weight = filters.sum(dim=1).clamp(min=TINY)  # (K,)
    covered = (filters.sum(dim=1) > 0).to(mel.dtype)
    magnitude = start * covered
    for _ in range(num_iters):
        ratio = mel / (magnitude @ filters).clamp(min=TINY)
        magnitude = magnitude * ((ratio @ filters.T) / weight)
    return magnitude


class GriffinLim(AbsRenderer):
    """Log-mel (and F0) to waveform; no parameters.

    Args:
        mel: The front end that the log-mel comes from.
        num_iters: Griffin-Lim iterations.
        momentum: Of the fast variant, in [0, 1).
        inversion_iters: Multiplicative steps of the mel inversion.
        seed: Of the noise source.
    """

    exact = False

    def __init__(
        self,
        mel: LogMel,
        num_iters: int = 32,
        momentum: float = 0.9,
        inversion_iters: int = 10,
        seed: int = 0,
    ):
        super().__init__(mel)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1), found {momentum}")
        self.num_iters = num_iters
        self.momentum = momentum
        self.inversion_iters = inversion_iters
        self.seed = seed

    @property
    def context(self) -> int:
        """See ``AbsRenderer.context``."""
        return CONTEXT

    def source(self) -> AbsSource:
        """See ``AbsRenderer.source``."""
        return VoiceSource(self.mel.hop_length, self.mel.sample_rate, seed=self.seed)

    @torch.no_grad()
    def forward(self, log_mel, lengths, f0=None, source=None):
        """See ``AbsRenderer.forward``; without F0 the source is noise throughout."""
        mask = length_mask(lengths, log_mel.size(1)).unsqueeze(2)
        mel = torch.where(mask, log_mel.exp(), 0.0)
        samples = lengths * self.mel.hop_length
        size = log_mel.size(1) * self.mel.hop_length
        if source is None:
            track = mel.new_zeros(mel.shape[:2])
            if f0 is not None:
                track[:, : f0.size(1)] = f0 * mask.squeeze(2)
            source = self.source().extend(track, last=True)
        source = source * length_mask(samples, size)
        if mel.device.type == "cpu":  # what one utterance needs stays in its cache
            items = zip(mel, source, lengths.tolist(), samples.tolist())
            parts = [self._synthesize(m[None, :n], x[None, :s]) for m, x, n, s in items]
        else:
            parts = [self._synthesize(mel, source)]
        pad = torch.nn.functional.pad
        wave = torch.cat([pad(part, (0, size - part.size(1))) for part in parts])
        wave = wave * length_mask(samples, wave.size(1))
        return wave.clamp(-1.0, 1.0), samples

    def _synthesize(self, mel: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """Mel magnitudes (B, F, M) and source (B, F * hop) to waveforms (B, F * hop).

        Silence is added behind them, for the last frames.
        """
        count, hop = mel.size(1), self.mel.hop_length
        margin = self.mel.n_fft // hop + 1
        mel = torch.nn.functional.pad(mel, (0, 0, 0, margin))  # (B, F + margin, M)
        source = torch.nn.functional.pad(source, (0, margin * hop))
        spectrum = self._stft(source)[:, :, : count + margin]
        start = spectrum.abs().transpose(1, 2) + FLOOR  # (B, F + margin, K)
        magnitude = invert_mel(mel, self.mel.filters, start, self.inversion_iters)
        wave = self._phase_iterations(magnitude.transpose(1, 2), spectrum)
        return wave[:, : count * hop]

    def _phase_iterations(
        self, magnitude: torch.Tensor, spectrum: torch.Tensor
    ) -> torch.Tensor:
        """Find phases that are consistent with the magnitudes.

        Args:
            magnitude: Wanted magnitudes, (B, K, F).
            spectrum: Spectrum whose phases start the search, (B, K, F).

        Returns:
            Waveforms, (B, F * hop_length).
        """
        frames = spectrum.size(2)
        estimate, previous = spectrum, torch.zeros_like(spectrum)
        for _ in range(self.num_iters):
            wave = self._istft(magnitude * torch.sgn(estimate))
            rebuilt = self._stft(wave)[:, :, :frames]
            estimate = torch.lerp(previous, rebuilt, 1.0 + self.momentum)
            previous = rebuilt
        return self._istft(magnitude * torch.sgn(estimate))

    def _stft(self, wave: torch.Tensor) -> torch.Tensor:
        """Frame j centred on sample j * hop, (B, S) to (B, K, S / hop + 1)."""
        side = self.mel.n_fft // 2
        return self.mel.stft(torch.nn.functional.pad(wave, (side, side)))

    def _istft(self, spectrum: torch.Tensor) -> torch.Tensor:
        """Overlap-add inverse of ``_stft``, (B, K, F) to (B, F * hop)."""
        return torch.istft(
            spectrum,
            self.mel.n_fft,
            hop_length=self.mel.hop_length,
            win_length=self.mel.win_length,
            window=self.mel.window,
            length=spectrum.size(2) * self.mel.hop_length,
        )
