"""Noisy sets: complete, repeatable, compared with their clean recordings."""

import json
import shutil

import numpy as np
import pytest
from ark_sets import pack_audio

from espnet2_taste.bin import data
from espnet2_taste.data.audio import read_audio, write_audio
from espnet2_taste.data.ctm import read_ctm, write_ctm
from espnet2_taste.data.kaldi_dir import (
    KaldiDir,
    read_kaldi_dir,
    read_table,
    write_kaldi_dir,
    write_table,
)
from espnet2_taste.evaluation.noise import active_level
from espnet2_taste.evaluation.noisy_sets import noisy_name
from espnet2_taste.evaluation.rendition import read_original
from espnet2_taste.structures import WordTiming

RATE = 16000


@pytest.fixture
def dump(tmp_path):
    folder, wavs = tmp_path / "test", {}
    folder.mkdir()
    times = np.arange(RATE) / RATE
    for name, f0 in (("u1", 120), ("u2", 200)):
        wavs[name] = str(folder / f"{name}.wav")
        tone = sum(np.sin(2 * np.pi * f0 * k * times) / k for k in (1, 2, 3))
        write_audio(wavs[name], 0.2 * tone, RATE)
    write_kaldi_dir(
        folder,
        KaldiDir(wavs, dict.fromkeys(wavs, "a b"), {} | dict.fromkeys(wavs, "s")),
    )
    words = [WordTiming("a", 0.0, 0.5), WordTiming("b", 0.5, 0.5)]
    for name in ("ctm", "ctm_aligned"):
        write_ctm(folder / name, dict.fromkeys(wavs, words))
    return tmp_path


def run(dump, *more):
    data.main(["noise", "--dump_dir", str(dump), "--sets", "test", *more])


def test_a_noisy_set_is_a_set(dump, capsys):
    run(dump, "--snr", "20 0")
    for snr, name in ((20, "test_snr20"), (0, "test_snr0")):
        folder = dump / name
        tables, clean = read_kaldi_dir(folder), read_table(folder / "clean.scp")
        assert tables.text == {"u1": "a b", "u2": "a b"}
        assert read_table(folder / "utt2num_samples") == {"u1": "16000", "u2": "16000"}
        assert read_ctm(folder / "ctm") == read_ctm(dump / "test" / "ctm")
        for utterance, path in tables.wav.items():
            mixed, speech = read_audio(path)[0], read_audio(clean[utterance])[0]
            rows = (folder / "noise.tsv").read_text().splitlines()[1:]
            gain = 10 ** (float(dict(r.split("\t") for r in rows)[utterance]) / 20)
            noise = mixed - gain * speech
            ratio = active_level(gain * speech, RATE) - 10 * np.log10(np.mean(noise**2))
            assert ratio == pytest.approx(snr, abs=0.1)  # 16 bit
    record = json.loads((dump / "test_snr20" / "noise.json").read_text())
    assert (record["source"], record["noise"], record["snr_db"]) == (
        "test",
        "white",
        20,
    )
    run(dump, "--snr", "20")
    assert "test_snr20: done before" in capsys.readouterr().out


def test_a_set_gets_the_same_noise_from_and_in_an_ark(dump):
    def mixed(*more):
        run(dump, "--snr", "20", *more)
        table = read_table(dump / "test_snr20" / "wav.scp")
        return {name: read_audio(path)[0].tolist() for name, path in table.items()}

    from_files = mixed()
    pack_audio(dump / "test")
    shutil.rmtree(dump / "test_snr20")
    assert mixed() == from_files
    assert mixed("--audio_format", "flac.ark") == from_files
    folder = dump / "test_snr20"
    entries = read_table(folder / "wav.scp").values()
    assert all(entry.startswith(f"{folder / 'audio.ark'}:") for entry in entries)
    assert not (folder / "audio").exists()


def test_the_same_noise_at_every_ratio(dump):
    run(dump, "--snr", "20 10", "--noise", "speech_shaped", "--tag", "shaped")
    speech = read_audio(str(dump / "test" / "u1.wav"))[0]
    noises = []
    for name in ("test_shaped_snr20", "test_shaped_snr10"):
        mixed = read_audio(read_table(dump / name / "wav.scp")["u1"])[0]
        noises.append(mixed - speech)
    assert np.corrcoef(noises)[0, 1] > 0.99


def test_scores_compare_with_clean_times_and_pitch(dump):
    run(dump, "--snr", "-5")
    folder = dump / "test_snr-5"
    late = [WordTiming("a", 0.1, 0.1), WordTiming("b", 0.2, 0.1)]
    write_ctm(folder / "ctm_aligned", {"u1": late, "u2": late})
    noisy, clean = read_original(folder), read_original(dump / "test")
    assert noisy.timings == clean.timings
    np.testing.assert_array_equal(noisy.word_f0["u1"], clean.word_f0["u1"])
    assert noisy.wavs != clean.wavs


def test_errors_are_one_line(dump):
    assert noisy_name("a", "b", 0.5) == "a_b_snr0.5"
    with pytest.raises(SystemExit, match="data noise: .*must be one of"):
        run(dump, "--noise", "pink")
    with pytest.raises(SystemExit, match="--noise_wavs"):
        run(dump, "--noise", "recorded")
    write_audio(dump / "test" / "u2.wav", np.zeros(RATE), RATE)
    with pytest.raises(SystemExit, match="utterance u2: the audio is silent"):
        run(dump)


def test_finer_times_of_the_clean_set_hold_in_noise(dump):
    """For what is compared with them, and for models that were trained with such."""
    times = {"u1": "0 0.4 0.4 1", "u2": "0 0.4 0.4 1"}
    write_table(dump / "test" / "word_times_refined", times)
    words = [WordTiming("a", 0.0, 0.4), WordTiming("b", 0.4, 0.6)]
    write_ctm(dump / "test" / "ctm_refined", dict.fromkeys(times, words))
    run(dump, "--snr", "20")
    assert read_table(dump / "test_snr20" / "word_times_refined") == times
    assert read_original(dump / "test_snr20").refined["u1"] == words
    write_table(dump / "test" / "word_times_refined", times | {"u1": "0 0.3 0.3 1"})
    run(dump, "--snr", "20")
    changed = read_table(dump / "test_snr20" / "word_times_refined")
    assert changed["u1"] == "0 0.3 0.3 1"
