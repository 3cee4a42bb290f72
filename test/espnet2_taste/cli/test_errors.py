"""Errors of the command: one line, an exit code, the command's own options named."""

import argparse
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from espnet2_taste.cli.main import COMMANDS, get_parser, main
from espnet2_taste.data.ctm import read_rows
from espnet2_taste.data.kaldi_dir import read_table


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_means_and_its_default(name):
    (commands,) = (
        action
        for action in get_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    for action in commands.choices[name]._actions:
        assert len(action.help.split()) >= 2 or not action.option_strings, action.dest
    shown = " ".join(commands.choices[name].format_help().split())
    assert "(default: 0)" in shown and "(default: WARNING)" in shown
    for line in commands.choices[name].epilog.splitlines():
        assert len(line) < 90 and "  | " not in line.lstrip()


@pytest.mark.parametrize(
    "command, options, message",
    [
        ("continue", ["--text_top_p", "7"], "a number from 0 to 1, found '7'"),
        ("continue", ["--text_top_p", "nan"], "a number from 0 to 1, found 'nan'"),
        ("continue", ["--repetition_penalty", "inf"], "found 'inf'"),
        ("tokenize", ["--batch_size", "-2"], "a whole number from 1, found '-2'"),
        ("tokenize", ["--nj", "2.5"], "a whole number from 1, found '2.5'"),
        ("swap", ["--words", "-1"], "a whole number from 0, found '-1'"),
        ("tokenize", ["--log_level", "LOUD"], "invalid choice: 'LOUD'"),
    ],
)
def test_values_out_of_range_are_refused_by_name(capsys, command, options, message):
    with pytest.raises(SystemExit) as stopped:
        main([command, "--model", "none.zip", "--output", "out", *options])
    assert stopped.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert options[0] in said and message in said


@pytest.mark.parametrize(
    "command, options, message",
    [
        (
            "continue",
            ["--max_words", 2, "--min_words", 9],
            "--min_words 9 is more than",
        ),
        ("continue", ["--prompt_kind", "unconditional"], "give --voice"),
        (
            "resynthesize",
            ["--min_unit_ratio", 9, "--max_unit_ratio", 2],
            "is more than",
        ),
        ("resynthesize", ["--voice", "none.wav"], "--voice none.wav: .* is missing"),
        ("resynthesize", ["--voice", __file__], "--voice .*: the audio cannot be read"),
        ("tokenize", ["--wav_scp", "empty"], "the list is empty"),
        ("tokenize", ["--wav_scp", "latin"], "latin: expected UTF-8"),
    ],
)
def test_options_are_checked_before_a_model_is_loaded(
    recordings, tmp_path, monkeypatch, command, options, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "latin").write_bytes("a naïve.wav\n".encode("latin1"))
    given = ["--model", "none.zip", "--output", "out", *options]
    if not {"--wav_scp", "unconditional"} & set(options):
        given += ["--wav", recordings / "slow.wav"]
    with pytest.raises(SystemExit, match=f"espnet2-taste {command}: .*{message}"):
        main([command, *map(str, given)])
    assert not (tmp_path / "out").exists()


@pytest.fixture
def odd(tmp_path):
    """Recordings of which no speech can come."""
    rng = np.random.default_rng(0)
    speech = (0.1 * rng.standard_normal(16000)).astype("float32")
    waves = {"silence": 0 * speech, "short": speech[:80], "nan": speech * np.nan}
    for name, wave in waves.items():
        soundfile.write(tmp_path / f"{name}.wav", wave, 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "whole.flac", speech, 16000)
    cut = (tmp_path / "whole.flac").read_bytes()
    (tmp_path / "cut.flac").write_bytes(cut[:40])
    (tmp_path / "text.wav").write_text("this is no audio\n")
    return tmp_path


@pytest.mark.parametrize(
    "name, message",
    [
        ("none.wav", "is missing"),
        ("silence.wav", "is silent"),
        ("nan.wav", "NaN"),
        ("cut.flac", "cannot be read|is empty"),
        ("text.wav", "cannot be read"),
        ("short.wav", ""),
    ],
)
def test_a_single_file_that_cannot_be_used_is_an_error(run, odd, name, message):
    options = ["--wav", odd / name, "--text", "the red dog"]
    with pytest.raises(SystemExit, match=f"tokenize: utterance '.*{message}"):
        run("tokenize", odd / "out", *options)


def test_a_list_of_which_all_is_lost_is_an_error(run, odd):
    wavs = odd / "wav.scp"
    wavs.write_text(f"a {odd / 'none.wav'}\nb {odd / 'silence.wav'}\n")
    with pytest.raises(SystemExit, match="none of the 2 utterances.*dropped.tsv"):
        run("tokenize", odd / "out", "--wav_scp", wavs)
    rows = read_rows(odd / "out" / "dropped.tsv")
    assert [row["utt"] for row in rows] == ["a", "b"]


def test_a_list_ends_with_a_line_that_counts(run, recordings, tmp_path, capsys):
    options = ["--wav_scp", recordings / "wav.scp", "--text_file", tmp_path / "text"]
    text = (recordings / "text").read_text().splitlines()
    (tmp_path / "text").write_text("\n".join(text[:2]) + "\n")
    run("tokenize", tmp_path / "out", *options)
    said = capsys.readouterr().err
    assert f"2 done, 2 dropped, reasons in {tmp_path / 'out' / 'dropped.tsv'}" in said
    reasons = {
        row["utt"]: row["reason"] for row in read_rows(tmp_path / "out/dropped.tsv")
    }
    assert "--text_file has no words for it" in reasons["other"]


def test_words_that_do_not_exist_are_an_error(run, tokens, tmp_path):
    options = ["--codes", tokens, "--first", "slow", "--second", "fast"]
    with pytest.raises(SystemExit, match="none of the 2 utterances.*word 99 does not"):
        run("swap", tmp_path / "out", *options, "--words", 99)


def test_other_texts_and_recordings_give_other_results(run, recordings, tmp_path):
    wav = tmp_path / "a.wav"
    wav.write_bytes((recordings / "slow.wav").read_bytes())
    words = []
    for text in ("the red dog", "a small bird"):
        run("tokenize", tmp_path / "out", "--wav", wav, "--text", text)
        words.append(read_table(tmp_path / "out" / "words")["a"])
    assert words == ["the red dog", "a small bird"]
    before = (tmp_path / "out" / "spembs.scp").read_text()
    wav.write_bytes((recordings / "fast.wav").read_bytes())
    run("tokenize", tmp_path / "out", "--wav", wav, "--text", "a small bird")
    assert (tmp_path / "out" / "spembs.scp").read_text() != before


def test_another_model_file_is_refused(run, packed_models, recordings, tmp_path):
    model = tmp_path / "model.zip"
    model.write_bytes((packed_models[0] / "taste.zip").read_bytes())
    options = ["--wav", recordings / "slow.wav", "--text", "dog", "--model", model]
    run("tokenize", tmp_path / "out", *options)
    model.write_bytes(model.read_bytes())
    with pytest.raises(
        SystemExit, match="holds results with model = .*another --output"
    ):
        run("tokenize", tmp_path / "out", *options)


def test_a_stop_by_the_user_is_no_traceback(run, recordings, tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("espnet2_taste.cli.tokenize.TokenizeJob.load", stop)
    with pytest.raises(SystemExit) as stopped:
        run("tokenize", tmp_path / "out", "--wav", recordings / "slow.wav")
    assert stopped.value.code == 130


def test_one_line_from_file_to_file(run, packed_models, recordings, tmp_path, capsys):
    given = ["--model", packed_models[0] / "taste.zip", "--cache_dir", tmp_path]
    given += ["--max_unit_ratio", 3, "--text", "the red dog", recordings / "slow.wav"]
    main(["again", *map(str, given), str(tmp_path / "again.flac")])
    assert soundfile.info(tmp_path / "again.flac").samplerate == 16000
    assert capsys.readouterr().out == f"{tmp_path / 'again.flac'}  the red dog\n"
    with pytest.raises(SystemExit, match="expected a file in a folder that exists"):
        main(["again", *map(str, given), str(tmp_path / "again.ogg")])


def test_what_was_spoken_is_printed(run, tokens, tmp_path, capsys):
    run("resynthesize", tmp_path / "out", "--codes", tokens, "--max_unit_ratio", 3)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines] == [
        "the red dog",
        "a small bird",
        "the red dog",
    ]
    assert all((soundfile.info(line.split()[0]).frames for line in lines))


def test_a_flipped_byte_in_a_package_is_one_line(
    run, packed_models, recordings, tmp_path
):
    content = bytearray((packed_models[0] / "taste.zip").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "model.zip").write_bytes(content)
    options = ["--wav", recordings / "slow.wav", "--model", tmp_path / "model.zip"]
    with pytest.raises(SystemExit, match="model.zip cannot be unpacked, it is damaged"):
        run("tokenize", tmp_path / "out", *options)
    assert not (tmp_path / "out" / "parts").exists()


def test_the_terminal_shows_results_alone(packed_models, recordings, tmp_path):
    command = [sys.executable, "-m", "espnet2_taste", "again", "--max_unit_ratio", "3"]
    command += ["--model", packed_models[0] / "taste.zip", "--cache_dir", tmp_path]
    command += ["--log_level", "ERROR"]  # the text does not belong to the noise
    command += ["--text", "the red dog", recordings / "slow.wav", tmp_path / "a.wav"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path / 'a.wav'}  the red dog\n"


SPOKEN = {
    "one word": (1.0, "dog"),
    "the same word five times": (3.0, "dog dog dog dog dog"),
}
TOO_SHORT = {
    "0.2 s": (0.2, "the red dog runs home"),
    "400 words": (2.0, "dog " * 400),
}


@pytest.mark.parametrize("name", [*SPOKEN, *TOO_SHORT])
def test_odd_texts_have_a_stated_outcome(run, tmp_path, name):
    seconds, text = (SPOKEN | TOO_SHORT)[name]
    wave = 0.1 * np.random.default_rng(0).standard_normal(int(16000 * seconds))
    soundfile.write(tmp_path / "a.wav", wave, 16000)
    options = ["--wav", tmp_path / "a.wav", "--text", text]
    if name in SPOKEN:
        run("tokenize", tmp_path / "out", *options)
        assert read_table(tmp_path / "out" / "words") == {"a": text}
    else:
        with pytest.raises(SystemExit, match="tokenize: utterance 'a': .*frames"):
            run("tokenize", tmp_path / "out", *options)
