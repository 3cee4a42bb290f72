"""Log-mel to waveform: a harmonic source and a network that ends in an inverse STFT.

Enters: log-mel (B, M, T). Leaves: a waveform (B, S). Parameter names, weight norm
included, are those of the published voice generator below ``hift.``. Sources: HiFTNet
(Li et al. 2023); neural source-filter models (Wang et al. 2019); specification,
section 5. Phases and noise are given or come from a seed, never from a global state.

Legend: B utterances, T mel frames, M mel bands, S = T * hop samples, L harmonics and
the fundamental, C channels, K bins of the short STFT, F its frames.
"""

import math
from collections.abc import Sequence
from functools import cached_property

import numpy
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from espnet2_taste.precision import in_float32
from espnet2_taste.vocoder.abs_renderer import FURTHEST, lost_frames
from espnet2_taste.vocoder.excitation import AbsSource


def weight_normed(conv: nn.Module) -> nn.Module:
    """A convolution with weight norm, which starts with small kernels and no bias."""
    nn.init.normal_(conv.weight, 0.0, 0.01)
    nn.init.zeros_(conv.bias)
    conv = weight_norm(conv)
    conv.register_state_dict_post_hook(_save_published_names)
    return conv


def _save_published_names(conv: nn.Module, state: dict, prefix: str, _) -> None:
    """Name length and direction as they are published; torch reads both names."""
    for index, name in enumerate(("weight_g", "weight_v")):
        own = f"{prefix}parametrizations.weight.original{index}"
        state[prefix + name] = state.pop(own)


def same_length_conv(
    in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1
) -> nn.Module:
    """Convolution with weight norm, (B, C_in, T) to (B, C_out, T)."""
    padding = (kernel_size * dilation - dilation) // 2
    options = {"padding": padding, "dilation": dilation}
    return weight_normed(nn.Conv1d(in_channels, out_channels, kernel_size, **options))


class Snake(nn.Module):
    """x + sin(a x)^2 / a with a learned ``a`` for each channel."""

    def __init__(self, channels: int):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, T) to (B, C, T)."""
        alpha = self.alpha[None, :, None]
        return x + (1.0 / (alpha + 1e-9)) * torch.sin(x * alpha).square()


class SnakeResblock(nn.Module):
    """Residual pairs of a dilated and a plain convolution."""

    def __init__(self, channels: int, kernel_size: int, dilations: Sequence[int]):
        super().__init__()
        count = range(len(dilations))
        self.convs1 = nn.ModuleList(
            same_length_conv(channels, channels, kernel_size, d) for d in dilations
        )
        self.convs2 = nn.ModuleList(
            same_length_conv(channels, channels, kernel_size) for _ in count
        )
        self.activations1 = nn.ModuleList(Snake(channels) for _ in count)
        self.activations2 = nn.ModuleList(Snake(channels) for _ in count)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, T) to (B, C, T)."""
        layers = zip(self.activations1, self.convs1, self.activations2, self.convs2)
        for first, dilated, second, plain in layers:
            x = x + plain(second(dilated(first(x))))
        return x


class F0Predictor(nn.Module):
    """F0 in Hz from log-mel.

    Args:
        n_mels: M.
        channels: C of its five convolutions.
    """

    def __init__(self, n_mels: int = 80, channels: int = 512, num_layers: int = 5):
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(num_layers):
            size = channels if index else n_mels
            layers += [same_length_conv(size, channels, 3), nn.ELU()]
        self.condnet = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, 1)
        self.context = num_layers  # frames to each side that a value depends on

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        """(B, M, T) to (B, T)."""
        hidden = self.condnet(mel).transpose(1, 2)
        return self.classifier(hidden).squeeze(2).abs()


class HarmonicSource(nn.Module):
    """Sines at multiples of F0 and noise, mixed into one source signal.

    Args:
        sample_rate: Samples a second.
        num_harmonics: Overtones beside the fundamental, L - 1.
        amplitude: Of each sine.
        noise_std: Of the noise where voiced.
        voiced_hz: F0 above which a sample is voiced.
    """

    def __init__(
        self,
        sample_rate: int,
        num_harmonics: int = 8,
        amplitude: float = 0.1,
        noise_std: float = 0.003,
        voiced_hz: float = 10.0,
    ):
        super().__init__()
        self.sample_rate = sample_rate
        self.num_sines = num_harmonics + 1
        self.amplitude = amplitude
        self.noise_std = noise_std
        self.voiced_hz = voiced_hz
        self.l_linear = nn.Linear(self.num_sines, 1)

    def cycles(self, f0: torch.Tensor) -> torch.Tensor:
        """Periods of each sine in each sample, (B, S) to (B, L, S).

        In float32 their sum would lose the phase of long utterances.
        """
        order = torch.arange(1, self.num_sines + 1, device=f0.device)
        return f0.double()[:, None, :] * order[None, :, None] / self.sample_rate

    def sines(
        self,
        f0: torch.Tensor,
        phases: torch.Tensor,
        noise: torch.Tensor,
        turns: torch.Tensor | float = 0.0,
    ) -> torch.Tensor:
        """Sines and noise before they are mixed.

        Args:
            f0: Hz, (B, S).
            phases: Initial phases, (B, L, 1); that of the fundamental counts as 0.
            noise: Standard normal, (B, L, S).
            turns: Periods before the first sample, (B, L, 1).

        Returns:
            (B, L, S).
        """
        turns = (torch.cumsum(self.cycles(f0), dim=2) + turns) % 1.0
        order = torch.arange(1, self.num_sines + 1, device=f0.device)
        starts = phases * (order > 1)[None, :, None]
        waves = torch.sin(2 * math.pi * turns + starts).to(f0.dtype)
        voiced = (f0 > self.voiced_hz).to(f0.dtype)[:, None, :]
        loudness = voiced * self.noise_std + (1 - voiced) * self.amplitude / 3
        return self.amplitude * waves * voiced + loudness * noise

    def forward(self, *given: torch.Tensor | float) -> torch.Tensor:
        """To the source (B, 1, S); arguments are those of :meth:`sines`."""
        waves = self.sines(*given).transpose(1, 2)
        return torch.tanh(self.l_linear(waves)).transpose(1, 2)


class SeededSource(AbsSource):
    """The harmonic source of utterances whose frames arrive in pieces.

    Args:
        source: Makes it.
        hop_length: Samples a frame.
        seed: Of phases and noise, the same for each item.
    """

    def __init__(self, source: HarmonicSource, hop_length: int, seed: int):
        self.source, self.hop_length = source, hop_length
        self.rng = numpy.random.default_rng(seed)
        self.phases = self.rng.uniform(-math.pi, math.pi, (1, source.num_sines, 1))
        self.turns: torch.Tensor | float = 0.0

    def extend(self, f0: torch.Tensor, last: bool) -> torch.Tensor:
        """See ``AbsSource.extend``; no frame waits for another one."""
        track = f0.repeat_interleave(self.hop_length, dim=1)  # (B, S)
        shape = (1, track.size(1), self.source.num_sines)
        noise = self.rng.standard_normal(shape).transpose(0, 2, 1).copy()
        phases, noise = (torch.as_tensor(x).to(f0) for x in (self.phases, noise))
        made = self.source(track, phases, noise, self.turns)
        cycles = self.source.cycles(track).sum(2, keepdim=True)
        self.turns = (self.turns + cycles) % 1.0
        return made.squeeze(1)


class HiFTGenerator(nn.Module):
    """Log-mel to waveform; default sizes are those of the published voice generator.

    Args:
        n_mels: M.
        sample_rate: Samples a second.
        base_channels: C after the first convolution, halved at each stage.
        f0_channels: C of the F0 predictor.
        upsample_rates: Factor of each stage.
        upsample_kernels: Taps of each stage.
        stft_size: FFT size of source and output.
        stft_hop: Hop of the same.
        resblock_kernels: Taps of the parallel residual blocks.
        source_kernels: Taps of the source's residual block at each stage.
        dilations: Of each pair in a residual block.
        limit: Largest absolute sample.
        source_conf: Options of ``HarmonicSource`` but the sample rate.
        seed: Of phases and noise that are not given.
    """

    def __init__(
        self,
        n_mels: int = 80,
        sample_rate: int = 22050,
        base_channels: int = 512,
        f0_channels: int = 512,
        upsample_rates: Sequence[int] = (8, 8),
        upsample_kernels: Sequence[int] = (16, 16),
        stft_size: int = 16,
        stft_hop: int = 4,
        resblock_kernels: Sequence[int] = (3, 7, 11),
        source_kernels: Sequence[int] = (7, 11),
        dilations: Sequence[int] = (1, 3, 5),
        limit: float = 0.99,
        source_conf: dict | None = None,
        seed: int = 0,
    ):
        super().__init__()
        self.n_mels, self.sample_rate = n_mels, sample_rate
        self.stft_size, self.stft_hop = stft_size, stft_hop
        self.hop_length = math.prod(upsample_rates) * stft_hop
        self.limit, self.seed = limit, seed
        self.m_source = HarmonicSource(sample_rate, **(source_conf or {}))
        self.f0_predictor = F0Predictor(n_mels, f0_channels)
        self.conv_pre = same_length_conv(n_mels, base_channels, 7)
        channels = [base_channels >> stage for stage in range(len(upsample_rates) + 1)]
        sizes = zip(channels, channels[1:], upsample_kernels, upsample_rates)
        self.ups = nn.ModuleList(
            weight_normed(
                nn.ConvTranspose1d(*inside, taps, rate, padding=(taps - rate) // 2)
            )
            for *inside, taps, rate in sizes
        )
        self.source_downs = nn.ModuleList(
            _source_down(stft_size + 2, size, math.prod(upsample_rates[stage + 1 :]))
            for stage, size in enumerate(channels[1:])
        )
        self.source_resblocks = nn.ModuleList(
            SnakeResblock(size, kernel, dilations)
            for size, kernel in zip(channels[1:], source_kernels)
        )
        self.resblocks = nn.ModuleList(
            SnakeResblock(size, kernel, dilations)
            for size in channels[1:]
            for kernel in resblock_kernels
        )
        self.conv_post = same_length_conv(channels[-1], stft_size + 2, 7)
        window = torch.hann_window(stft_size)
        self.register_buffer("window", window, persistent=False)

    @in_float32
    def forward(
        self,
        mel: torch.Tensor,
        phases: torch.Tensor | None = None,
        noise: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Waveform of utterances of one length.

        Args:
            mel: Log-mel without padding, (B, M, T).
            phases: Initial phases of the sines, (B, L, 1).
            noise: Standard normal, (B, L, S).

        Returns:
            (B, S), S = T * hop_length.
        """
        f0 = self.f0_predictor(mel)  # (B, T)
        if phases is None or noise is None:
            source = self.source().extend(f0, last=True).unsqueeze(1)
        else:
            track = f0.repeat_interleave(self.hop_length, dim=1)
            source = self.m_source(track, phases, noise)
        return self.decode(mel, source)

    def source(self) -> AbsSource:
        """What waves are made from, seeded; longer ones start the same."""
        return SeededSource(self.m_source, self.hop_length, self.seed)

    @cached_property
    @torch.no_grad()
    def context(self) -> int | None:
        """Frames to each side that samples depend on, given the source."""
        mel = self.window.new_zeros(1, self.n_mels, 2 * FURTHEST + 1)
        source = mel.new_zeros(1, 1, mel.size(2) * self.hop_length)
        mel[..., FURTHEST] = torch.nan
        source[..., FURTHEST * self.hop_length : (FURTHEST + 1) * self.hop_length] = (
            torch.nan
        )
        return lost_frames(self.decode(mel, source)[0], self.hop_length)

    def decode(self, mel: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """Filter the source (B, 1, S) as the log-mel (B, M, T) says, to (B, S)."""
        source = self._source_spectrum(source.squeeze(1))
        x = self.conv_pre(mel)
        parallel = len(self.resblocks) // len(self.ups)
        for stage, upsample in enumerate(self.ups):
            x = upsample(functional.leaky_relu(x, 0.1))
            if stage == len(self.ups) - 1:
                x = functional.pad(x, (1, 0), mode="reflect")
            x = x + self.source_resblocks[stage](self.source_downs[stage](source))
            blocks = self.resblocks[stage * parallel : (stage + 1) * parallel]
            x = sum(block(x) for block in blocks) / parallel
        x = self.conv_post(functional.leaky_relu(x))  # (B, 2 K, F)
        magnitude, angle = x.chunk(2, dim=1)
        magnitude = magnitude.exp().clamp(max=100.0)
        spectrum = torch.polar(magnitude, torch.sin(angle))
        wave = torch.istft(
            spectrum,
            self.stft_size,
            hop_length=self.stft_hop,
            window=self.window,
        )
        return wave.clamp(-self.limit, self.limit)

    def _source_spectrum(self, source: torch.Tensor) -> torch.Tensor:
        """Real and imaginary parts of the source's STFT, (B, S) to (B, 2 K, F)."""
        spectrum = torch.stft(
            source,
            self.stft_size,
            hop_length=self.stft_hop,
            window=self.window,
            return_complex=True,
        )
        return torch.cat([spectrum.real, spectrum.imag], dim=1)


def _source_down(in_channels: int, out_channels: int, factor: int) -> nn.Conv1d:
    """Brings the source's frames down to the rate of a stage."""
    if factor == 1:
        return nn.Conv1d(in_channels, out_channels, 1)
    return nn.Conv1d(
        in_channels, out_channels, 2 * factor, stride=factor, padding=factor // 2
    )
