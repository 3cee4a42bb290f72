"""Audio files: whatever can be read becomes mono at one rate; the rest is explained."""

import numpy as np
import pytest
import soundfile

from espnet2_taste.data.audio import (
    HIGHEST_RATE,
    LOWEST_RATE,
    load_speech,
    read_audio,
    resample,
    write_audio,
)


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
        ("slow", "4000 Hz, expected 8000 to"),
    ],
)
def test_what_cannot_be_used_is_explained(tmp_path, kind, complaint):
    write_bad(tmp_path / "a.wav", kind)
    with pytest.raises(ValueError, match=complaint):
        load_speech(tmp_path / "a.wav", 16000, 0.3, 30.0)


def test_silence_is_accepted_on_request(tmp_path):
    write_bad(tmp_path / "a.wav", "silent")
    assert len(load_speech(tmp_path / "a.wav", 16000, keep_silence=True)) == 8000


def write_flac_of_promised_length(path, frames):
    """A flac whose header speaks of more samples than there are."""
    soundfile.write(path, np.full(1600, 0.1), 16000)
    content = bytearray(path.read_bytes())
    place = content.index(b"fLaC") + 8 + 13  # the low 36 bits of STREAMINFO's length
    content[place] = content[place] & 0xF0 | frames >> 32
    content[place + 1 : place + 5] = (frames & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(content)


def test_memory_follows_the_file_not_its_header(tmp_path):
    write_flac_of_promised_length(tmp_path / "a.flac", 2**35)
    with pytest.raises(ValueError, match="cut off|cannot be read"):
        read_audio(tmp_path / "a.flac")


@pytest.mark.parametrize("rate", [LOWEST_RATE - 1, HIGHEST_RATE + 1, 2**31 - 1])
def test_rates_without_sense_are_refused(tmp_path, rate):
    soundfile.write(tmp_path / "a.wav", np.full(1600, 0.1), rate)
    with pytest.raises(ValueError, match=f"sample rate is {rate} Hz, expected 8000 to"):
        load_speech(tmp_path / "a.wav", 16000)


def test_a_wav_that_is_cut_off_is_refused_and_one_of_a_pipe_is_not(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full(16000, 0.1), 16000)
    whole = bytearray(path.read_bytes())
    path.write_bytes(whole[: int(0.6 * len(whole))])
    with pytest.raises(ValueError, match="promises 1.00 s, the file holds 0.60 s"):
        read_audio(path)
    for size in (0xFFFFFFFF, 0x7FFFF000):
        whole[40:44] = size.to_bytes(4, "little")
        path.write_bytes(whole)
        assert len(read_audio(path)[0]) == 16000


def test_a_silent_channel_is_left_out_of_the_mix(tmp_path):
    left = 0.5 * np.sin(np.arange(1600))
    soundfile.write(tmp_path / "a.wav", np.stack([left, 0 * left], 1), 16000, "FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav")[0], left, atol=1e-6)


def test_floats_beyond_one_are_taken_up_to_a_bound(tmp_path):
    for peak, usable in ((1.5, True), (20000.0, False)):
        wave = peak * np.sin(np.arange(1600)).astype("float32")
        soundfile.write(tmp_path / "a.wav", wave, 16000, "FLOAT")
        if usable:
            assert read_audio(tmp_path / "a.wav")[0].max() > 1.4
        else:
            with pytest.raises(
                ValueError, match="divide them, 16 bit integers by 32768"
            ):
                read_audio(tmp_path / "a.wav")


def test_speech_that_is_no_number_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="a.wav: the speech made holds NaN"):
        write_audio(tmp_path / "a.wav", np.array([0.1, np.nan]), 16000)
    assert not list(tmp_path.iterdir())
