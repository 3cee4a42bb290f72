"""Sets at other speeds: names, durations, frequencies, and nothing is done twice."""

import numpy as np
import pytest

from espnet2_taste.bin import data
from espnet2_taste.data.audio import read_audio, read_header, write_audio
from espnet2_taste.data.ctm import read_rows
from espnet2_taste.data.files import read_lines
from espnet2_taste.data.kaldi_dir import KaldiDir, read_table, write_kaldi_dir
from espnet2_taste.data.parts import split_sets
from espnet2_taste.data.recording_writer import FORMATS
from espnet2_taste.data.speed import change_speed

RATE = 16000
TABLES = ("wav.scp", "text", "utt2spk", "utt2num_samples")


def tone(seconds: float, frequency: float = 400.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE)


def pitch(speech: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(speech * np.hanning(len(speech)), 16 * RATE))
    return spectrum.argmax() / 16


@pytest.fixture
def dump(tmp_path):
    """A set of 40 utterances of two speakers, the last of which lasts 1.95 s."""
    folder, names = tmp_path / "train", [f"u{number:02d}" for number in range(40)]
    (folder / "audio").mkdir(parents=True)
    wavs = {name: str(folder / "audio" / f"{name}.wav") for name in names}
    for name, path in wavs.items():
        write_audio(path, tone(1.95 if name == "u39" else 0.5), RATE)
    speakers = {name: f"s{number % 2}" for number, name in enumerate(names)}
    texts = {name: f"word {name}" for name in names}
    write_kaldi_dir(folder, KaldiDir(wavs, texts, speakers))
    return tmp_path


def speed(dump, factors="0.9 1.0 1.10", sets="train", *options):
    command = ["speed", "--dump_dir", str(dump), "--sets", sets]
    data.main([*command, "--speed_perturb_factors", factors, *options])


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.0, 1.1, 1.25])
def test_a_tone_is_as_much_higher_as_it_is_shorter(factor):
    made = change_speed(tone(1.5), factor, RATE)
    assert len(made) == pytest.approx(1.5 * RATE / factor, abs=1)
    assert pitch(made) == pytest.approx(400 * factor, rel=1e-3)


@pytest.mark.parametrize("audio_format", FORMATS)
def test_copies_are_utterances_of_further_speakers(dump, audio_format):
    speed(dump, "0.9 1.0 1.10", "train", "--audio_format", audio_format)
    made = {name: read_table(dump / "train_sp" / name) for name in TABLES}
    for name in ("wav.scp", "text", "utt2spk"):
        rows = read_table(dump / "train" / name)
        assert {utt: made[name][utt] for utt in rows} == rows
    ids = [
        f"{prefix}u{i:02d}" for prefix in ("sp0.9-", "sp1.10-", "") for i in range(40)
    ]
    for name, rows in made.items():
        assert list(rows) == ids, name
    assert made["text"]["sp0.9-u01"] == "word u01"
    assert made["utt2spk"]["sp1.10-u01"] == "sp1.10-s1"
    assert list(read_table(dump / "train_sp/spk2utt")) == [
        *("s0", "s1", "sp0.9-s0", "sp0.9-s1", "sp1.10-s0", "sp1.10-s1")
    ]
    for name, factor in (("sp0.9-u39", 0.9), ("u39", 1), ("sp1.10-u39", 1.1)):
        entry, samples = made["wav.scp"][name], int(made["utt2num_samples"][name])
        assert read_header(entry).frames == samples
        assert samples == pytest.approx(1.95 * RATE / factor, abs=1)
        assert pitch(read_audio(entry)[0]) == pytest.approx(400 * factor, rel=1e-3)


def test_a_copy_that_is_too_long_is_left_out(dump):
    speed(dump, "0.9 1.0", "train", "--max_duration", "2")
    (row,) = read_rows(dump / "train_sp/dropped.tsv", {"utt": str, "reason": str})
    assert row["utt"] == "sp0.9-u39" and "2.17 s at this speed" in row["reason"]
    assert len(read_table(dump / "train_sp/wav.scp")) == 79


def test_what_is_there_is_kept_until_the_factors_change(dump, capsys):
    for factors, done in (("1 1.1", "made"), ("1 1.1", "done before"), ("1.1", "made")):
        speed(dump, factors)
        assert capsys.readouterr().out.endswith(f"train_sp: {done}\n")
    assert len(read_table(dump / "train_sp/wav.scp")) == 40


def test_jobs_make_the_same_set(dump):
    speed(dump)
    tables = (*TABLES[1:], "spk2utt", "dropped.tsv")
    whole = {name: read_lines(dump / "train_sp" / name) for name in tables}
    parts = dump / "parts"
    assert split_sets(dump, ["train"], TABLES[:3], parts, 2) == 2
    for job in (1, 2):
        speed(parts, sets=f"@{parts}/{job}.sets")
    speed(dump, "0.9 1.0 1.10", "train", "--parts_dir", str(parts))
    assert whole == {name: read_lines(dump / "train_sp" / name) for name in tables}
    wavs = read_table(dump / "train_sp/wav.scp")
    assert [*wavs] == [*read_table(dump / "train_sp/text")]
    assert all(read_header(entry).frames for entry in wavs.values())


@pytest.mark.parametrize("factors", ["", "0.9 0", "-1", "fast", "nan", "inf"])
def test_what_is_no_factor_is_one_line_of_error(dump, factors):
    complaint = f"data speed: --speed_perturb_factors is '{factors}', expected numbers"
    with pytest.raises(SystemExit, match=complaint) as info:
        speed(dump, factors)
    assert "\n" not in str(info.value) and not (dump / "train_sp").exists()
