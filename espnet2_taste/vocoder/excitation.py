"""Voice source from an F0 track: pulses where voiced, noise elsewhere.

Legend: B utterances, F frames, S = F * hop samples. Each item's result depends on its
own frames only, and a longer padding never changes the earlier samples. A source also
takes the frames of utterances piece by piece, and gives what the whole gives.
"""

import math
from abc import ABC, abstractmethod

import numpy
import torch

DEFAULT_F0 = 100.0


def fill_unvoiced(f0: torch.Tensor, held: torch.Tensor | None = None) -> torch.Tensor:
    """Hold the last voiced value through unvoiced frames.

    Args:
        f0: Hz, 0 where unvoiced, (B, F).
        held: The last voiced value of earlier frames, 0 if there was none, (B, 1).

    Returns:
        F0 without zeros, (B, F); frames before the first voiced one take its value,
        and an item without voice takes 100 Hz.
    """
    if held is not None:
        return fill_unvoiced(torch.cat([held, f0], dim=1))[:, 1:]
    frames = torch.arange(f0.size(1), device=f0.device).expand_as(f0)
    voiced = f0 > 0
    last = torch.where(voiced, frames, -1).cummax(dim=1).values  # (B, F)
    first = voiced.int().argmax(dim=1, keepdim=True)  # (B, 1), 0 when never voiced
    filled = f0.gather(1, torch.where(last < 0, first, last))
    return torch.where(filled > 0, filled, DEFAULT_F0)


def pulse_train(
    f0: torch.Tensor,
    hop_length: int,
    sample_rate: int,
    turns: torch.Tensor | None = None,
) -> torch.Tensor:
    """Band-limited pulses: all cosines at multiples of F0 below the Nyquist frequency.

    The sum of N cosines has the closed form sin((N + 1/2) x) / (2 sin(x / 2)) - 1/2.

    Args:
        f0: Hz, positive everywhere, (B, F).
        hop_length: Samples a frame.
        sample_rate: Samples a second.
        turns: Periods before the first sample, (B, 1); none by default.

    Returns:
        Pulses of unit power, (B, F * hop_length).
    """
    track = sample_track(f0, hop_length)  # (B, S)
    periods = torch.cumsum(track / sample_rate, dim=1)
    if turns is not None:
        periods = periods + turns
    phase = periods % 1.0 * (2 * math.pi)
    count = (sample_rate / 2 / track).floor().clamp(min=1.0)
    denominator = 2 * torch.sin(phase / 2)
    peak = denominator.abs() < 1e-6
    ratio = torch.sin((count + 0.5) * phase) / torch.where(peak, 1.0, denominator)
    pulses = torch.where(peak, count, ratio - 0.5) / torch.sqrt(count / 2)
    return pulses.to(f0.dtype)


def sample_track(f0: torch.Tensor, hop_length: int) -> torch.Tensor:
    """F0 of each sample, on lines between frames, (B, F) to (B, F * hop) float64."""
    following = torch.cat([f0[:, 1:], f0[:, -1:]], dim=1)
    ramp = torch.arange(hop_length, device=f0.device) / hop_length
    track = f0[:, :, None] + (following - f0)[:, :, None] * ramp  # (B, F, hop)
    return track.flatten(1).double()


def white_noise(length: int, like: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Seeded standard normal samples (length,); a longer draw starts the same way."""
    samples = numpy.random.default_rng(seed).standard_normal(length)
    return torch.as_tensor(samples, dtype=like.dtype, device=like.device)


class AbsSource(ABC):
    """What the wave of an utterance is made from, while its frames arrive."""

    @abstractmethod
    def extend(self, f0: torch.Tensor, last: bool) -> torch.Tensor:
        """Take more frames.

        Args:
            f0: Hz, 0 where unvoiced, (B, F), the same B at each call.
            last: Whether the utterances end with them.

        Returns:
            Samples of the frames that are known well enough and were not given yet,
            (B, S).
        """


class NoiseSource(AbsSource):
    """Seeded standard normal samples, the same for each item.

    Args:
        hop_length: Samples a frame.
        seed: Of the noise.
    """

    def __init__(self, hop_length: int, seed: int = 0):
        self.hop_length = hop_length
        self.rng = numpy.random.default_rng(seed)

    def extend(self, f0: torch.Tensor, last: bool) -> torch.Tensor:
        """See ``AbsSource.extend``; no frame waits for another one."""
        samples = self.rng.standard_normal(f0.size(1) * self.hop_length)
        return torch.as_tensor(samples).to(f0).expand(len(f0), -1)


class VoiceSource(AbsSource):
    """Pulses in voiced frames, noise in the others, both of about unit power.

    Args:
        hop_length: Samples a frame.
        sample_rate: Samples a second.
        breath: Noise amplitude in voiced frames.
        seed: Seed of the noise, the same for each item.
    """

    def __init__(
        self, hop_length: int, sample_rate: int, breath: float = 0.05, seed: int = 0
    ):
        self.hop_length, self.sample_rate = hop_length, sample_rate
        self.breath = breath
        self.noise = NoiseSource(hop_length, seed)
        self.waiting: torch.Tensor | None = None  # F0 of the last frame, (B, 1)
        self.held: torch.Tensor | None = None  # last voiced F0, 0 without one, (B, 1)
        self.turns: torch.Tensor | None = None  # periods so far, (B, 1)
        self.frames = 0  # given

    def extend(self, f0: torch.Tensor, last: bool) -> torch.Tensor:
        """See ``AbsSource.extend``; a frame waits for the one behind it."""
        if self.waiting is None:
            self.waiting = f0[:, :0]
            self.held = f0.new_zeros(len(f0), 1)
            self.turns = self.held.double()
        f0 = torch.cat([self.waiting, f0], dim=1)
        count = f0.size(1) if last else max(0, f0.size(1) - 1)
        self.waiting = f0[:, count:]
        if count == 0:
            return f0[:, :0]
        filled = fill_unvoiced(f0, self.held)
        samples, rate = count * self.hop_length, self.sample_rate
        silent = self.frames * self.hop_length * filled[:, :1].double() / rate
        turns = torch.where(self.held > 0, self.turns, silent)
        pulses = pulse_train(filled, self.hop_length, rate, turns)[:, :samples]
        track = sample_track(filled, self.hop_length)[:, :samples]
        self.turns = (turns + (track / rate).sum(1, keepdim=True)) % 1.0
        f0 = f0[:, :count]
        spoken = (self.held > 0) | (f0 > 0).any(1, keepdim=True)
        self.held = torch.where(spoken, filled[:, count - 1 : count], 0.0)
        self.frames += count
        voiced = (f0 > 0).to(f0).repeat_interleave(self.hop_length, dim=1)  # (B, S)
        noise = self.noise.extend(f0, last)
        return voiced * (pulses + self.breath * noise) + (1 - voiced) * noise
