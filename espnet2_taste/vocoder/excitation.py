"""Voice source from an F0 track: pulses where voiced, noise elsewhere.

Legend: B utterances, F frames, S = F * hop samples. Pure functions; each item's result
depends on its own frames only, and a longer padding never changes the earlier samples.
"""

import math

import numpy
import torch

DEFAULT_F0 = 100.0


def fill_unvoiced(f0: torch.Tensor) -> torch.Tensor:
    """Hold the last voiced value through unvoiced frames.

    Args:
        f0: Hz, 0 where unvoiced, (B, F).

    Returns:
        F0 without zeros, (B, F); frames before the first voiced one take its value,
        and an item without voice takes 100 Hz.
    """
    frames = torch.arange(f0.size(1), device=f0.device).expand_as(f0)
    voiced = f0 > 0
    last = torch.where(voiced, frames, -1).cummax(dim=1).values  # (B, F)
    first = voiced.int().argmax(dim=1, keepdim=True)  # (B, 1), 0 when never voiced
    filled = f0.gather(1, torch.where(last < 0, first, last))
    return torch.where(filled > 0, filled, DEFAULT_F0)


def pulse_train(f0: torch.Tensor, hop_length: int, sample_rate: int) -> torch.Tensor:
    """Band-limited pulses: all cosines at multiples of F0 below the Nyquist frequency.

    The sum of N cosines has the closed form sin((N + 1/2) x) / (2 sin(x / 2)) - 1/2.

    Args:
        f0: Hz, positive everywhere, (B, F).
        hop_length: Samples a frame.
        sample_rate: Samples a second.

    Returns:
        Pulses of unit power, (B, F * hop_length).
    """
    following = torch.cat([f0[:, 1:], f0[:, -1:]], dim=1)
    ramp = torch.arange(hop_length, device=f0.device) / hop_length
    track = f0[:, :, None] + (following - f0)[:, :, None] * ramp  # (B, F, hop)
    track = track.flatten(1).double()  # (B, S)
    phase = torch.cumsum(track / sample_rate, dim=1) % 1.0 * (2 * math.pi)
    count = (sample_rate / 2 / track).floor().clamp(min=1.0)
    denominator = 2 * torch.sin(phase / 2)
    peak = denominator.abs() < 1e-6
    ratio = torch.sin((count + 0.5) * phase) / torch.where(peak, 1.0, denominator)
    pulses = torch.where(peak, count, ratio - 0.5) / torch.sqrt(count / 2)
    return pulses.to(f0.dtype)


def white_noise(length: int, like: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Seeded standard normal samples (length,); a longer draw starts the same way."""
    samples = numpy.random.default_rng(seed).standard_normal(length)
    return torch.as_tensor(samples, dtype=like.dtype, device=like.device)


def voice_source(
    f0: torch.Tensor,
    hop_length: int,
    sample_rate: int,
    breath: float = 0.05,
    seed: int = 0,
) -> torch.Tensor:
    """Pulses in voiced frames, noise in the others, both of about unit power.

    Args:
        f0: Hz, 0 where unvoiced, (B, F).
        hop_length: Samples a frame.
        sample_rate: Samples a second.
        breath: Noise amplitude in voiced frames.
        seed: Seed of the noise, the same for each item.

    Returns:
        The source, (B, F * hop_length).
    """
    pulses = pulse_train(fill_unvoiced(f0), hop_length, sample_rate)
    voiced = (f0 > 0).to(f0.dtype).repeat_interleave(hop_length, dim=1)  # (B, S)
    noise = white_noise(pulses.size(1), f0, seed)[None, :]
    return voiced * (pulses + breath * noise) + (1 - voiced) * noise
