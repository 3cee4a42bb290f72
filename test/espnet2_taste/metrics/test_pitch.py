"""The pitch tracker against tones whose F0 is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.metrics.pitch import track_pitch


def harmonics(f0, rate, tilt=1.0):
    """A voice-like tone that follows ``f0`` (S,), its partials below 4 kHz."""
    phase = 2 * np.pi * np.cumsum(f0) / rate
    count = int(min(4000, rate / 2) / f0.max())
    return sum(np.sin(h * phase) / h**tilt for h in range(1, count + 1))


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000])
@pytest.mark.parametrize("f0", [70, 100, 150, 240, 400])
def test_steady_tones_are_found_within_half_a_percent(rate, f0):
    steady = np.full(rate // 2, float(f0))
    for tone in (harmonics(steady, rate), np.sin(2 * np.pi * np.cumsum(steady) / rate)):
        track = track_pitch(tone, rate)[4:-4]
        np.testing.assert_allclose(track, f0, rtol=5e-3)


@settings(max_examples=12, deadline=None)
@given(
    st.floats(100, 200), st.floats(0.7, 1.8), st.floats(0.0, 2.0), st.floats(0.01, 1)
)
def test_glides_are_followed_at_any_tilt_and_loudness(start, ratio, tilt, scale):
    f0 = np.geomspace(start, start * ratio, 8000)
    track = track_pitch(scale * harmonics(f0, 16000, tilt), 16000)[4:-4]
    expected = f0[np.arange(4, 4 + len(track)) * 160]
    close = np.abs(track / expected - 1) < 0.02
    assert close.mean() > 0.97


def test_a_missing_fundamental_is_heard():
    f0 = np.full(16000, 150.0)
    tone = harmonics(f0, 16000) - np.sin(2 * np.pi * np.cumsum(f0) / 16000)
    np.testing.assert_allclose(track_pitch(tone, 16000)[4:-4], 150, rtol=5e-3)


def test_noise_and_silence_are_unvoiced():
    noise = np.random.default_rng(0).normal(size=16000)
    assert (track_pitch(noise, 16000) > 0).mean() < 0.05
    assert not track_pitch(np.zeros(16000), 16000).any()


def test_a_pause_is_unvoiced_where_it_is():
    tone = harmonics(np.full(16000, 120.0), 16000)
    tone[6400:9600] = 0.0
    voiced = track_pitch(tone, 16000) > 0
    assert voiced[5:36].all() and not voiced[43:57].any() and voiced[64:95].all()


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 161, 1600])
def test_there_is_one_value_per_hop(samples):
    assert track_pitch(np.zeros(samples), 16000).shape == (1 + samples // 160,)


def test_stereo_and_impossible_limits_are_refused():
    with pytest.raises(ValueError, match="mono.*shape"):
        track_pitch(np.zeros((2, 100)), 16000)
    with pytest.raises(ValueError, match="fmin"):
        track_pitch(np.zeros(100), 16000, fmin=300, fmax=200)
