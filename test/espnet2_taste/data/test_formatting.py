"""Stage 2: one form for all audio, a reason for what is left out, no work twice."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet2_taste.data import recording_writer
from espnet2_taste.data.audio import read_audio
from espnet2_taste.data.ctm import read_rows
from espnet2_taste.data.formatting import AudioForm, format_set
from espnet2_taste.data.kaldi_dir import read_kaldi_dir, read_table

FORM = AudioForm(16000, 0.3, 30.0)


@pytest.fixture
def source(tmp_path):
    """A set of which a and b can be used, with word times and pairs."""
    folder = tmp_path / "data" / "set"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).normal(0, 0.1, 16000)
    soundfile.write(folder / "a.flac", noise, 16000)
    soundfile.write(folder / "b.wav", np.stack([noise, noise], 1), 22050)
    soundfile.write(folder / "short.wav", noise[:800], 16000)
    (folder / "wav.scp").write_text("short short.wav\r\nb b.wav\r\na a.flac\r\n")
    (folder / "text").write_text("b two\na one\nshort x\nlost y\n")
    (folder / "ctm").write_text("a 1 0 1 one\nb 1 0 0.5 two\nshort 1 0 0.1 x\n")
    (folder / "pairs.tsv").write_text("positive\tnegative\na\tb\na\tshort\n")
    (folder / "prompt_words").write_text("utt\tn_words\na\t1\nshort\t1\n")
    return folder


def test_what_can_be_used_is_in_one_form_and_sorted(source, tmp_path):
    target = tmp_path / "dump" / "set"
    result = format_set(source, target, FORM)
    assert (result.kept, result.dropped, result.made) == (2, 2, True)
    tables = read_kaldi_dir(target)
    assert list(tables.wav) == ["a", "b"]
    for name, path in tables.wav.items():
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        assert int(read_table(target / "utt2num_samples")[name]) == info.frames
    assert int(read_table(target / "utt2num_samples")["b"]) == 11610


def test_what_is_left_out_is_listed_and_leaves_no_line_behind(source, tmp_path):
    target = tmp_path / "dump" / "set"
    format_set(source, target, FORM)
    reasons = {row["utt"]: row["reason"] for row in read_rows(target / "dropped.tsv")}
    assert list(reasons) == ["lost", "short"]
    assert "0.05 s" in reasons["short"] and "no audio" in reasons["lost"]
    assert (target / "ctm").read_text() == "a 1 0 1 one\nb 1 0 0.5 two\n"
    assert (target / "pairs.tsv").read_text() == "positive\tnegative\na\tb\n"
    assert (target / "prompt_words").read_text() == "utt\tn_words\na\t1\n"


def test_a_second_run_changes_nothing(source, tmp_path, monkeypatch):
    target = tmp_path / "dump" / "set"
    first = format_set(source, target, FORM)
    (target / "text_raw").write_text("a later stage wrote this\n")
    monkeypatch.setattr(recording_writer, "write_audio", None)
    second = format_set(source, target, FORM)
    assert (second.kept, second.dropped, second.made) == (first.kept, 2, False)
    assert (target / "text_raw").is_file()


def test_other_options_or_other_audio_make_the_set_anew(source, tmp_path):
    target = tmp_path / "dump" / "set"
    format_set(source, target, FORM)
    assert format_set(source, target, AudioForm(8000)).made
    assert soundfile.info(str(target / "audio" / "a.wav")).samplerate == 8000
    soundfile.write(
        source / "short.wav", np.random.default_rng(1).normal(size=9000), 8000
    )
    assert format_set(source, target, AudioForm(8000)).kept == 3


def test_flac_holds_the_same_samples_in_fewer_bytes(source, tmp_path):
    speech = np.sin(np.linspace(0, 900, 16000)) * np.linspace(0, 1, 16000)
    soundfile.write(source / "short.wav", speech, 16000)  # predictable, unlike noise
    wav, flac = tmp_path / "wav", tmp_path / "flac"
    format_set(source, wav, FORM)
    form = AudioForm(16000, 0.3, 30.0, "flac")
    assert format_set(source, flac, form).made
    assert not format_set(source, flac, form).made
    files = read_table(flac / "wav.scp")
    sizes = {"wav": 0, "flac": 0}
    for name, path in read_table(wav / "wav.scp").items():
        assert files[name] == str(flac / "audio" / f"{name}.flac")
        pair = [soundfile.read(file, dtype="int16")[0] for file in (path, files[name])]
        np.testing.assert_array_equal(*pair)
        for file in (path, files[name]):
            sizes[Path(file).suffix[1:]] += Path(file).stat().st_size
    assert sizes["flac"] < 0.9 * sizes["wav"]
    assert (flac / "utt2num_samples").read_text() == (
        wav / "utt2num_samples"
    ).read_text()
    assert format_set(source, flac, FORM).made  # another form is another set


@pytest.mark.parametrize("audio_format", ["wav.ark", "flac.ark"])
def test_segments_go_into_one_ark_with_the_same_samples(source, tmp_path, audio_format):
    (source / "segments").write_text("u1 a 0.1 0.6\nu2 a 0.5 1\nu3 b 0 0.4\n")
    (source / "text").write_text("u1 one\nu2 two\nu3 three\n")
    files, arks = tmp_path / "files", tmp_path / "arks"
    format_set(source, files, FORM)
    form = AudioForm(16000, 0.3, 30.0, audio_format)
    assert format_set(source, arks, form).kept == 3
    assert not format_set(source, arks, form).made
    entries = read_table(arks / "wav.scp")
    for name, file in read_table(files / "wav.scp").items():
        assert entries[name].startswith(f"{arks}/audio.ark:")
        one, two = (read_audio(entry)[0] for entry in (file, entries[name]))
        np.testing.assert_array_equal(one, two)
    assert not (arks / "audio").exists()


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="--audio_format is 'mp3', expected one of"):
        AudioForm(audio_format="mp3")


def test_a_killed_run_is_taken_up_where_it_stopped(source, tmp_path, monkeypatch):
    target = tmp_path / "dump" / "set"
    written = []

    def die_at_the_second(path, speech, rate):
        if len(written) == 1:
            raise KeyboardInterrupt
        written.append(path)
        write(path, speech, rate)

    write = recording_writer.write_audio
    monkeypatch.setattr(recording_writer, "write_audio", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        format_set(source, target, FORM)
    assert not target.exists()
    monkeypatch.setattr(
        recording_writer, "write_audio", lambda *a: (written.append(a[0]), write(*a))
    )
    assert format_set(source, target, FORM).kept == 2
    assert [path.name for path in written] == ["a.wav", "b.wav"]
    assert [path.name for path in target.parent.iterdir()] == ["set"]


def test_a_set_of_which_nothing_is_left_is_refused(source, tmp_path):
    with pytest.raises(ValueError, match="none of its 4 utterances.*'a': .*lasts"):
        format_set(source, tmp_path / "dump", AudioForm(16000, 5.0, 30.0))


def test_commands_are_run_and_announced_and_one_that_fails_costs_one(
    source, tmp_path, caplog
):
    caplog.set_level("INFO")
    (source / "wav.scp").write_text(
        f"a cat {source}/a.flac |\nb b.wav\nshort echo no such disc >&2; exit 3 |\n"
    )
    result = format_set(source, tmp_path / "dump", FORM)
    assert (result.kept, result.dropped) == (2, 2)
    reasons = {r["utt"]: r["reason"] for r in read_rows(tmp_path / "dump/dropped.tsv")}
    assert "failed: no such disc" in reasons["short"]
    assert "2 entries are commands, which are run now, e.g. cat" in caplog.text
    assert not format_set(source, tmp_path / "dump", FORM).made


def test_segments_cut_utterances_out_of_recordings(source, tmp_path):
    (source / "wav.scp").write_text("rec a.flac\n")
    (source / "text").write_text("".join(f"{name} x\n" for name in "abcdefg"))
    (source / "segments").write_text(
        "a rec 0.1 0.6\nb rec 0.5 -1\nc rec 0.9 0.2\nd gone 0 1\ne rec 0\n"
        "f rec 0.5 9\n"
    )
    (source / "utt2spk").write_text("a one\nb two\n")
    result = format_set(source, tmp_path / "dump", FORM)
    tables = read_kaldi_dir(tmp_path / "dump")
    samples = read_table(tmp_path / "dump" / "utt2num_samples")
    assert samples == {"a": "8000", "b": "8000", "f": "8000"} and result.kept == 3
    assert tables.utt2spk == {"a": "one", "b": "two", "f": "f"}
    speech, _ = soundfile.read(source / "a.flac")
    part, _ = soundfile.read(tables.wav["a"])
    np.testing.assert_allclose(part, speech[1600:9600], atol=1e-4)
    reasons = {r["utt"]: r["reason"] for r in read_rows(tmp_path / "dump/dropped.tsv")}
    assert "0.9 to 0.2 s is no part of a recording of 1.00 s" in reasons["c"]
    assert "wav.scp has no 'gone'" in reasons["d"] and "found 'rec 0'" in reasons["e"]
    assert "no audio in wav.scp" in reasons["g"]


def test_a_folder_of_someone_else_is_not_overwritten(source):
    with pytest.raises(ValueError, match="not made by this command"):
        format_set(source, source, FORM)
    assert (source / "a.flac").is_file()


@pytest.mark.parametrize("values", [(0, 0.3, 30.0), (16000, 2.0, 1.0), (16000, -1, 3)])
def test_impossible_options_are_refused(values):
    with pytest.raises(ValueError, match="expected a positive --fs"):
        AudioForm(*values)
