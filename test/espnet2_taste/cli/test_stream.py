"""``--stream``: samples on standard output while they are made, and nothing else."""

import io
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from espnet2_taste.cli.stream import SampleWriter
from espnet2_taste.data.arks import ArkTable
from espnet2_taste.data.kaldi_dir import read_table

FEW = ["--max_words", 2, "--max_unit_ratio", 3]


@pytest.fixture
def prompt(recordings):
    return ["--wav", recordings / "slow.wav", "--text", "the red dog", *FEW]


@pytest.fixture
def text(recordings):
    return ["--text", "a small bird", "--voice", recordings / "other.wav"]


@pytest.mark.parametrize("command, given", [("continue", "prompt"), ("say", "text")])
def test_what_is_heard_is_what_is_kept(
    command, given, run, request, tmp_path, capfdbinary
):
    """Words, codes and units are those of the command without the option."""
    options = request.getfixturevalue(given)
    run(command, tmp_path / "plain", *options, model="taslm.zip")
    capfdbinary.readouterr()
    run(command, tmp_path / "out", *options, "--stream", model="taslm.zip")
    played = capfdbinary.readouterr().out
    for table in ("words", "units", "ctm"):
        kept, plain = (tmp_path / place / table for place in ("out", "plain"))
        assert kept.read_text() == plain.read_text()
    (name,) = read_table(tmp_path / "out" / "wav.scp")
    codes = [ArkTable(tmp_path / n / "codes.scp")[name] for n in ("out", "plain")]
    np.testing.assert_array_equal(*codes)
    path = tmp_path / "out" / read_table(tmp_path / "out" / "wav.scp")[name]
    wave, rate = soundfile.read(path, dtype="int16")
    found, its_rate = soundfile.read(io.BytesIO(played), dtype="int16")
    np.testing.assert_array_equal(found, wave)
    assert its_rate == rate and len(wave)
    run(command, tmp_path / "out", *options, "--stream", model="taslm.zip")
    assert capfdbinary.readouterr().out == played


def test_bare_samples(run, text, tmp_path, capfdbinary):
    run("say", tmp_path / "out", *text, "--stream", "pcm", model="taslm.zip")
    played = np.frombuffer(capfdbinary.readouterr().out, "<i2")
    (path,) = read_table(tmp_path / "out" / "wav.scp").values()
    wave, _ = soundfile.read(tmp_path / "out" / path, dtype="int16")
    np.testing.assert_array_equal(played, wave)


def test_other_settings_and_several_utterances_are_refused(run, text, tmp_path):
    run("say", tmp_path / "out", *text, "--stream", "pcm", model="taslm.zip")
    with pytest.raises(SystemExit, match="holds results with stream = pcm, this"):
        run("say", tmp_path / "out", *text, "--stream", model="taslm.zip")
    (tmp_path / "text").write_text("a dog\nb bird\n")
    several = ["--text_file", tmp_path / "text", *text[2:], "--stream"]
    with pytest.raises(SystemExit, match="--stream writes one utterance, found 2"):
        run("say", tmp_path / "other", *several, model="taslm.zip")
    wrong = ["--text", "!", *text[2:], "--stream"]
    with pytest.raises(SystemExit, match="no word in '!'"):
        run("say", tmp_path / "other", *wrong, model="taslm.zip")


def test_ctrl_c_ends_it_in_a_line(run, text, tmp_path, capfdbinary, monkeypatch):
    def stop(self, wave, sample_rate):
        raise KeyboardInterrupt

    monkeypatch.setattr(SampleWriter, "write", stop)
    with pytest.raises(SystemExit) as ended:
        run("say", tmp_path / "out", *text, "--stream", model="taslm.zip")
    assert ended.value.code == 130
    said = capfdbinary.readouterr()
    assert not said.out and b"stopped; finished parts are kept" in said.err
    assert not (tmp_path / "out" / "wav.scp").exists()


WAITING = """
import sys
from espnet2_taste.cli.main import main
from espnet2_taste.cli.stream import SampleWriter

write = SampleWriter.write
def write_then_wait(self, *piece):
    write(self, *piece)
    sys.stdin.read()
    write(self, *piece)

SampleWriter.write = write_then_wait
main(sys.argv[1:])
"""


def test_a_closed_pipe_ends_it_quietly(packed_models, text, tmp_path):
    options = ["say", "--model", packed_models[0] / "taslm.zip", *text, "--stream"]
    options += ["--output", tmp_path / "out", "--cache_dir", tmp_path / "cache"]
    command = [sys.executable, "-c", WAITING, *map(str, options)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.read(4) == b"RIFF"
        process.stdout.close()
        _, said = process.communicate()
    assert process.returncode == 141
    assert b"Traceback" not in said and b"rror" not in said
    assert not (tmp_path / "out" / "wav.scp").exists()
