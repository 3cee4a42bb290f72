"""Mixing at a ratio: levels against a slow loop, ratios exact for any speech."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.data.audio import write_audio
from espnet2_taste.evaluation.noise import (
    active_level,
    mix_at_snr,
    noise_choices,
)
from espnet2_taste.evaluation.recorded import recordings
from espnet2_taste.metrics.statistics import utterance_rng

RATE = 8000


def decibels(power):
    return 10 * np.log10(power)


def bursts(seed, seconds=1.0, scale=0.1):
    """Noise bursts with pauses, (S,)."""
    rng = np.random.default_rng(seed)
    size = int(seconds * RATE)
    loud = np.repeat(rng.random(size // 400 + 1) > 0.4, 400)[:size]
    loud[:400] = True
    return scale * rng.standard_normal(size) * loud


def slow_level(speech, rate):
    """ITU-T P.56, one sample at a time."""
    peak = np.abs(speech).max()
    keep, hangover = np.exp(-1 / (0.03 * rate)), round(0.2 * rate)
    thresholds = [2.0**e for e in range(-15, 0)]
    counts, waited = [0] * 15, [hangover] * 15
    once = twice = 0.0
    for sample in speech / peak:
        once = keep * once + (1 - keep) * abs(sample)
        twice = keep * twice + (1 - keep) * once
        for i, threshold in enumerate(thresholds):
            if twice >= threshold:
                counts[i] += 1
                waited[i] = 0
            elif waited[i] < hangover:
                counts[i] += 1
                waited[i] += 1
    power = ((speech / peak) ** 2).sum()
    points = [
        (decibels(power / n), decibels(power / n) - 20 * np.log10(t))
        for n, t in zip(counts, thresholds)
        if n
    ]
    previous = points[0]
    for level, margin in points:
        if margin <= 15.9:
            break
        previous = (level, margin)
    else:
        level, margin = points[-1]
    if margin != previous[1] and margin < 15.9 < previous[1]:
        share = (previous[1] - 15.9) / (previous[1] - margin)
        level = previous[0] + share * (level - previous[0])
    return level + 20 * np.log10(peak)


@pytest.mark.parametrize("seed", range(4))
def test_level_equals_the_slow_loop(seed):
    speech = bursts(seed, 0.7)
    assert active_level(speech, RATE) == pytest.approx(
        slow_level(speech, RATE), abs=1e-6
    )


def test_level_of_a_steady_sound_is_its_power():
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(4 * RATE) / RATE)
    assert active_level(tone, RATE) == pytest.approx(decibels(0.045), abs=0.15)


@given(st.integers(0, 99), st.floats(0.01, 50), st.floats(0, 3))
@settings(max_examples=12, deadline=None)
def test_level_follows_the_gain_and_not_the_pauses(seed, gain, pause):
    speech = bursts(seed, 4.0)
    level = active_level(speech, RATE)
    louder = active_level(gain * speech, RATE)
    assert louder == pytest.approx(level + 20 * np.log10(gain), abs=1e-6)
    longer = np.concatenate([np.zeros(int(pause * RATE)), speech, np.zeros(9 * RATE)])
    # the plain power of it is at least 5 dB lower; the hangover costs some tenths
    assert active_level(longer, RATE) == pytest.approx(level, abs=0.6)


@given(st.integers(0, 99), st.floats(-10, 40), st.floats(0.001, 2), st.floats(0.01, 9))
@settings(max_examples=40, deadline=None)
def test_the_ratio_is_exact_and_nothing_is_clipped(seed, snr_db, scale, noise_scale):
    speech = bursts(seed, scale=scale)
    noise = noise_scale * np.random.default_rng(seed + 1).standard_normal(len(speech))
    mixed, gain_db = mix_at_snr(speech, noise, snr_db, RATE)
    inside = 10 ** (gain_db / 20) * speech
    added = mixed - inside
    found = active_level(inside, RATE) - decibels(np.mean(added**2))
    assert found == pytest.approx(snr_db, abs=1e-6)
    assert np.abs(mixed).max() <= 0.999 + 1e-9
    np.testing.assert_allclose(added / added.std(), noise / noise.std(), atol=1e-9)


def test_what_cannot_be_mixed_is_refused():
    speech = bursts(0)
    with pytest.raises(ValueError, match="noise is silent"):
        mix_at_snr(speech, 0 * speech, 5, RATE)
    with pytest.raises(ValueError, match="speech is silent"):
        mix_at_snr(0 * speech, speech, 5, RATE)
    with pytest.raises(ValueError, match=r"expected two \(S,\)"):
        mix_at_snr(speech, speech[1:], 5, RATE)


def material(tmp_path, **noise_wavs):
    speech = bursts(3)
    spectrum = np.fft.rfft(speech)
    spectrum[len(spectrum) // 4 :] *= 0.01  # nothing above 1 kHz
    path = str(tmp_path / "speech.wav")
    write_audio(path, np.fft.irfft(spectrum), RATE)
    return {"u": path}, noise_wavs, RATE


def share_above(noise, hertz):
    power = np.abs(np.fft.rfft(noise)) ** 2
    return power[int(hertz / RATE * len(noise)) :].sum() / power.sum()


def test_noise_has_the_spectrum_it_is_named_after(tmp_path):
    white = noise_choices.get_class("white")(*material(tmp_path))
    shaped = noise_choices.get_class("speech_shaped")(*material(tmp_path))
    for samples in (4000, 4001):
        drawn = white.excerpt(samples, utterance_rng(0, "u"))
        assert drawn.shape == (samples,)
        assert share_above(drawn, 1000) == pytest.approx(0.75, abs=0.05)
        drawn = shaped.excerpt(samples, utterance_rng(0, "u"))
        assert drawn.shape == (samples,) and share_above(drawn, 1100) < 0.02


@pytest.mark.parametrize("samples", [100, 1000, 3217])
def test_recorded_noise_is_cut_or_repeated(tmp_path, samples):
    ramp = np.arange(1, 1001) / 2000
    write_audio(tmp_path / "ramp.wav", ramp, RATE)
    found = recordings(tmp_path)
    assert list(found) == ["ramp"]
    recorded = noise_choices.get_class("recorded")({}, found, RATE)
    drawn = recorded.excerpt(samples, utterance_rng(1, "u"))
    assert drawn.shape == (samples,)
    steps = np.diff(drawn)
    assert ((steps > 0) | (np.abs(drawn[1:] - ramp[0]) < 1e-3)).all()
    with pytest.raises(ValueError, match="--noise_wavs"):
        noise_choices.get_class("recorded")({}, {}, RATE)


def test_noise_of_an_utterance_depends_on_its_name_and_the_seed_only():
    first = utterance_rng(0, "u1").standard_normal(4)
    np.testing.assert_array_equal(first, utterance_rng(0, "u1").standard_normal(4))
    assert (first != utterance_rng(0, "u2").standard_normal(4)).all()
    assert (first != utterance_rng(1, "u1").standard_normal(4)).all()
