"""Pitch, voicing and loudness of speech units, or of frames of an encoder.

Enters: F0 every 10 ms (B, P) and speech (B, S). Leaves: one row of ``FEATURES`` numbers
for each unit, (B, U, 3): the natural logarithm of F0 / 150 Hz, 0 where unvoiced; 1
where voiced, else 0; loudness, a logarithm of the root mean square, about in [-2, 2].

Unit u has the time from u / rate to (u + 1) / rate. Relative: the energy and pitch of
FastSpeech 2 (Ren et al. 2021, section 2.3).

Legend: B utterances, P pitch frames, S samples, U units, F frames.
"""

import numpy as np
import torch
from torch.nn import functional

from espnet2_taste.masks import length_mask

FEATURES = 3
REFERENCE_F0 = 150.0
PITCH_RATE = 100.0
QUIETEST = 1.0e-4  # root mean square; what is quieter is as loud
LOUDNESS_MEAN, LOUDNESS_SCALE = -4.0, 2.0
MELODY_SCALE = 0.2  # of log F0; a speaker's words differ by about as much


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


def measure_frames(
    speech: torch.Tensor,
    speech_lengths: torch.Tensor,
    sample_rate: int,
    frames: int,
    frame_rate: float,
) -> torch.Tensor:
    """Measure frames, F0 with them, so that a mean over a word gives its pitch.

    F0 goes on in a straight line where there is no voice.

    Args:
        speech: (B, S).
        speech_lengths: Valid samples, (B,).
        sample_rate: Of the speech, in Hz.
        frames: F.
        frame_rate: Frames a second.

    Returns:
        Log F0 in fifths of a natural logarithm, voicing, loudness, (B, F, 3).
    """
    from espnet2_taste.metrics.pitch import track_pitch

    rows = [
        track_pitch(wave[:length].numpy(), sample_rate)
        for wave, length in zip(speech.detach().float().cpu(), speech_lengths.tolist())
    ]
    pitch, melody = (
        np.zeros((len(rows), max(map(len, rows))), "float32") for _ in "ab"
    )
    for index, row in enumerate(rows):
        voiced = np.flatnonzero(row)
        pitch[index, : len(row)] = row
        if len(voiced):
            known = np.log(row[voiced] / REFERENCE_F0) / MELODY_SCALE
            melody[index] = np.interp(np.arange(melody.shape[1]), voiced, known)
    found = measure_prosody(
        torch.from_numpy(pitch).to(speech),
        *(speech, speech_lengths, sample_rate, frames, frame_rate),
    )
    line = torch.from_numpy(melody).to(speech)
    found[..., 0] = _unit_means(line, PITCH_RATE / frame_rate, frames)
    return found
