"""Audio files: whatever can be read becomes mono at one rate; the rest is explained."""

import numpy as np
import pytest
import soundfile

from espnet2_taste.data.audio import load_speech, read_audio, resample, write_audio


def tone(seconds=0.5, rate=16000, hertz=440.0):
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_audio_reads_back_to_half_a_step(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    write_audio(path, tone(), 16000)
    speech, rate = read_audio(path)
    assert rate == 16000 and speech.dtype == np.float32
    np.testing.assert_allclose(speech, tone(), atol=0.51 / 32768)
    assert soundfile.info(str(path)).subtype == "PCM_16"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_loud_samples_are_clipped_not_wrapped(tmp_path):
    write_audio(tmp_path / "a.wav", np.array([1.5, -1.5, 0.0]), 16000)
    speech, _ = read_audio(tmp_path / "a.wav")
    np.testing.assert_allclose(speech, [1.0, -1.0, 0.0], atol=1e-4)


def test_channels_are_averaged(tmp_path):
    both = np.stack([tone(), 0.5 * tone()], axis=1)
    soundfile.write(tmp_path / "a.wav", both, 16000, subtype="FLOAT")
    speech, _ = read_audio(tmp_path / "a.wav")
    np.testing.assert_allclose(speech, 0.75 * tone(), atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_other_rates_are_resampled(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", tone(rate=rate), rate)
    speech = load_speech(tmp_path / "a.wav", 16000)
    assert len(speech) == 8000
    np.testing.assert_allclose(speech[500:-500], tone()[500:-500], atol=2e-3)


def test_the_same_rate_changes_nothing():
    speech = tone().astype(np.float32)
    np.testing.assert_array_equal(resample(speech, 16000, 16000), speech)


def write_bad(path, kind):
    """Write one of the recordings that cannot be used."""
    waves = {
        "nan": np.where(np.arange(8000) == 77, np.nan, tone()),
        "infinite": np.where(np.arange(8000) == 77, np.inf, tone()),
        "empty": np.zeros(0),
        "silent": np.zeros(8000),
        "short": tone(0.1),
        "long": tone(31.0),
        "slow": tone(0.5, 4000),
    }
    if kind == "broken":
        path.write_bytes(b"RIFF but nothing else")
    elif kind != "missing":
        rate = 4000 if kind == "slow" else 16000
        soundfile.write(path, waves[kind], rate, subtype="FLOAT")


@pytest.mark.parametrize(
    "kind, complaint",
    [
        ("missing", "missing: .*a.wav"),
        ("broken", "cannot be read"),
        ("nan", "NaN or infinite"),
        ("infinite", "NaN or infinite"),
        ("empty", "empty"),
        ("silent", "silent"),
        ("short", "0.10 s, expected 0.3 to 30 s"),
        ("long", "31.00 s, expected 0.3 to 30 s"),
        ("slow", "4000 Hz, expected at least 8000 Hz"),
    ],
)
def test_what_cannot_be_used_is_explained(tmp_path, kind, complaint):
    write_bad(tmp_path / "a.wav", kind)
    with pytest.raises(ValueError, match=complaint):
        load_speech(tmp_path / "a.wav", 16000, 0.3, 30.0)


def test_silence_is_accepted_on_request(tmp_path):
    write_bad(tmp_path / "a.wav", "silent")
    assert len(load_speech(tmp_path / "a.wav", 16000, keep_silence=True)) == 8000
