"""Pitch, voicing and loudness of speech units.

Enters: F0 every 10 ms (B, P) and speech (B, S). Leaves: one row of ``FEATURES`` numbers
for each unit, (B, U, 3): the natural logarithm of F0 / 150 Hz, 0 where unvoiced; 1
where voiced, else 0; loudness, a logarithm of the root mean square, about in [-2, 2].

Unit u has the time from u / rate to (u + 1) / rate. Relative: the energy and pitch of
FastSpeech 2 (Ren et al. 2021, section 2.3).

Legend: B utterances, P pitch frames, S samples, U units.
"""

import torch
from torch.nn import functional

from espnet2_taste.masks import length_mask

FEATURES = 3
REFERENCE_F0 = 150.0
PITCH_RATE = 100.0
QUIETEST = 1.0e-4  # root mean square; what is quieter is as loud
LOUDNESS_MEAN, LOUDNESS_SCALE = -4.0, 2.0


def measure_prosody(
    pitch: torch.Tensor,
    speech: torch.Tensor,
    speech_lengths: torch.Tensor,
    sample_rate: int,
    units: int,
    unit_rate: float,
) -> torch.Tensor:
    """Measure units.

    A unit is voiced where at least half of its pitch frames are; its F0 is the mean of
    the logarithms of those. Behind the end of an utterance there is silence.

    Args:
        pitch: F0 in Hz, 0 (or less) where unvoiced and at padding, (B, P).
        speech: (B, S).
        speech_lengths: Valid samples, (B,).
        sample_rate: Of the speech, in Hz.
        units: U.
        unit_rate: Units a second.

    Returns:
        (B, U, 3).
    """
    voiced = (pitch > 0).to(speech)
    share = _unit_means(voiced, PITCH_RATE / unit_rate, units)
    logs = (pitch.clamp(min=1.0) / REFERENCE_F0).log() * voiced
    log_f0 = _unit_means(logs, PITCH_RATE / unit_rate, units) / share.clamp(min=1e-3)
    spoken = speech * length_mask(speech_lengths, speech.size(1))
    power = _unit_means(spoken.float().square(), sample_rate / unit_rate, units)
    loudness = 0.5 * power.clamp(min=QUIETEST**2).log()
    flag = (share >= 0.5).to(speech)
    level = (loudness - LOUDNESS_MEAN) / LOUDNESS_SCALE
    return torch.stack([log_f0 * flag, flag, level], dim=-1)


def _unit_means(values: torch.Tensor, width: float, units: int) -> torch.Tensor:
    """Means of values (B, T) over the units, each ``width`` values long, (B, U)."""
    edges = (torch.arange(units + 1, device=values.device) * width).round().long()
    values = functional.pad(values, (0, max(0, int(edges[-1]) - values.size(1))))
    sums = functional.pad(values.double().cumsum(1), (1, 0))[:, edges]
    return (sums.diff(dim=1) / edges.diff()).to(values.dtype)
