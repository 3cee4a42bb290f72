"""Prosody of units against a slow loop, and what padding and silence give."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.prosody import (
    LOUDNESS_MEAN,
    LOUDNESS_SCALE,
    MELODY_SCALE,
    QUIETEST,
    REFERENCE_F0,
    measure_frames,
    measure_prosody,
)

SAMPLE_RATE = 8000


def slowly(pitch, speech, units, rate):
    rows = []
    for unit in range(units):
        frames = slice(round(unit * 100 / rate), round((unit + 1) * 100 / rate))
        part = np.zeros(frames.stop - frames.start)
        known = pitch[frames]
        part[: len(known)] = known
        voiced = part[part > 0]
        samples = slice(
            round(unit * SAMPLE_RATE / rate), round((unit + 1) * SAMPLE_RATE / rate)
        )
        power = (speech[samples] ** 2).sum() / (samples.stop - samples.start)
        level = math.log(max(power**0.5, QUIETEST))
        flag = len(voiced) >= len(part) / 2
        f0 = np.log(voiced / REFERENCE_F0).mean() if flag else 0.0
        rows.append((f0, float(flag), (level - LOUDNESS_MEAN) / LOUDNESS_SCALE))
    return np.array(rows)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 60), st.integers(0, 9000), st.sampled_from([25, 50, 12.5]))
def test_units_are_measured_as_a_loop_would(frames, samples, rate):
    random = np.random.default_rng(frames + samples)
    pitch = random.uniform(80, 300, frames) * (random.random(frames) > 0.4)
    speech = random.standard_normal(samples) * 0.1
    found = measure_prosody(
        torch.tensor(pitch, dtype=torch.float32)[None],
        torch.tensor(speech, dtype=torch.float32)[None],
        torch.tensor([samples]),
        *(SAMPLE_RATE, 20, rate),
    )
    assert found.shape == (1, 20, 3) and torch.isfinite(found).all()
    np.testing.assert_allclose(
        found[0].numpy(), slowly(pitch, speech, 20, rate), atol=1e-3
    )


def test_padding_is_silence():
    pitch, speech = torch.full((1, 40), 150.0), torch.ones(1, 4000)
    short = measure_prosody(pitch, speech, torch.tensor([2000]), SAMPLE_RATE, 10, 25)
    cut = torch.tensor([2000])
    alone = measure_prosody(pitch, speech[:, :2000], cut, SAMPLE_RATE, 10, 25)
    assert torch.equal(short, alone)
    assert short[0, -1, 2] == pytest.approx(
        (math.log(QUIETEST) - LOUDNESS_MEAN) / LOUDNESS_SCALE
    )


def tone(f0, seconds):
    times = torch.arange(int(16000 * seconds)) / 16000
    return 0.3 * torch.sin(2 * math.pi * f0 * times)


def test_frames_know_pitch_through_silence_and_whatever_the_batch():
    silence = torch.zeros(4800)
    speech = torch.cat([tone(120, 0.4), silence, tone(240, 0.4)])
    batch = torch.zeros(2, 20000)
    batch[0, : len(speech)], batch[1, :6400] = speech, tone(200, 0.4)
    lengths = torch.tensor([len(speech), 6400])
    found = measure_frames(batch, lengths, 16000, 27, 25.0)
    alone = measure_frames(batch[1:, :6400], lengths[1:], 16000, 10, 25.0)
    torch.testing.assert_close(found[1:, :10], alone)
    melody, voiced, _ = found[0].unbind(-1)
    low, high = (math.log(f0 / REFERENCE_F0) / MELODY_SCALE for f0 in (120, 240))
    assert melody[2:8] == pytest.approx(low, abs=0.05)
    assert melody[20:26] == pytest.approx(high, abs=0.05)
    assert voiced[2:8].all() and not voiced[11:16].any() and voiced[20:26].all()
    assert (melody[9:18].diff() > 0).all()  # a straight line through the silence


def test_frames_without_voice_have_a_finite_pitch():
    found = measure_frames(torch.zeros(1, 3200), torch.tensor([3200]), 16000, 5, 25.0)
    assert torch.isfinite(found).all() and (found[..., :2] == 0).all()
