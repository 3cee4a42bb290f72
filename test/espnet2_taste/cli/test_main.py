"""The console command: light help, single files, lists, processes, all sub-commands."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from espnet2_taste.cli.main import COMMANDS, FORWARDED
from espnet2_taste.data.arks import ArkTable
from espnet2_taste.data.ctm import read_ctm, read_rows
from espnet2_taste.data.kaldi_dir import read_table

HEAVY = {"torch", "transformers", "espnet2.train", "librosa", "scipy", "pandas"}


@pytest.mark.parametrize("command", [[], *([name] for name in (*COMMANDS, *FORWARDED))])
def test_help_imports_nothing_heavy_and_teaches_by_example(command):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['espnet2-taste', *{command!r}, '--help']\n"
        "try:\n    runpy.run_module('espnet2_taste', run_name='__main__')\n"
        f"finally:\n    assert not {HEAVY!r} & set(sys.modules), sys.modules.keys()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "example" in done.stdout.lower()


@pytest.mark.parametrize("level", [[], ["--log_level", "INFO"]])
def test_packing_is_quiet_unless_messages_are_asked_for(level):
    code = (
        "import logging, sys, types\n"
        "from espnet2_taste.cli import main\n"
        "other = sys.modules['other'] = types.ModuleType('other')\n"
        "def run(words):\n"
        "    logging.basicConfig(level='INFO')\n"
        "    logging.info('for developers')\n"
        "other.main = run\n"
        "main.FORWARDED['pack'] = ('other', [], '')\n"
        f"main.main(['pack', *{level!r}])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ("for developers" in done.stderr) == bool(level)
    assert "flash" not in done.stderr.lower()


def test_tokenize_writes_codes_words_times_voices(tokens):
    codes = ArkTable(tokens / "codes.scp")
    words, times = read_table(tokens / "words"), read_ctm(tokens / "ctm")
    assert set(codes) == set(words) == set(times) == {"slow", "fast", "other"}
    assert words["other"] == "a small bird" and codes["other"].shape == (3, 2)
    assert [timing.word for timing in times["slow"]] == ["the", "red", "dog"]
    alignment = read_table(tokens / "alignment")
    rows = [list(map(float, alignment[name].split())) for name in words]
    assert all(0 <= least <= score <= 1 for score, least in rows)
    assert ArkTable(tokens / "spembs.scp")["fast"].shape == (4,)
    (row,) = read_rows(tokens / "dropped.tsv")
    assert row["utt"] == "empty" and "empty" in row["reason"]


def test_a_single_file_is_printed_and_equals_the_list(
    run, recordings, tokens, tmp_path, capsys
):
    source = ["--wav", recordings / "slow.wav", "--text", "the red dog"]
    run("tokenize", tmp_path / "one", *source)
    codes = ArkTable(tokens / "codes.scp")["slow"].astype(int)
    *printed, score = capsys.readouterr().out.splitlines()
    assert score.startswith("text and speech belong together: 0.")
    assert [line.split()[1:] for line in printed] == [
        [word, *map(str, row)] for word, row in zip(["the", "red", "dog"], codes)
    ]


def check_times(folder, texts):
    """The words of a folder's speech lie within it, in order."""
    times, wavs = read_ctm(folder / "ctm"), read_table(folder / "wav.scp")
    words = read_table(texts / "words")
    assert set(times) == set(wavs) == set(words)
    for name, rows in times.items():
        assert [row.word for row in rows] == words[name].split()
        both = [place for row in rows for place in (row.start, row.end)]
        places = [round(place, 6) for place in both]  # an end is a sum of floats
        seconds = soundfile.info(folder / wavs[name]).duration
        assert places == sorted(places) and places[-1] <= seconds + 0.1


def test_codes_are_spoken_swapped_continued_and_scored(
    run, recordings, tokens, tmp_path
):
    short = ["--codes", tokens, "--max_unit_ratio", 3]
    run("resynthesize", tmp_path / "again", *short)
    wavs = read_table(tmp_path / "again" / "wav.scp")
    assert set(wavs) == {"slow", "fast", "other"}
    assert soundfile.info(tmp_path / "again" / wavs["slow"]).samplerate == 16000
    check_times(tmp_path / "again", tokens)
    run("resynthesize", tmp_path / "slow", *short, "--tempo", 0.25)
    at_once, slowly = (
        read_ctm(tmp_path / n / "ctm")["slow"] for n in ("again", "slow")
    )
    assert slowly[-1].end > 2 * at_once[-1].end
    pairs = tmp_path / "pairs"
    pairs.write_text("slow fast 0,2\n")
    run("swap", tmp_path / "swap", *short, "--pairs", pairs)
    found = ArkTable(tmp_path / "swap" / "codes.scp")
    codes = ArkTable(tokens / "codes.scp")
    np.testing.assert_array_equal(found["slow+fast"][[0, 2]], codes["fast"][[0, 2]])
    np.testing.assert_array_equal(found["fast+slow"][1], codes["fast"][1])
    more = [*short, "--max_words", 2, "--voice", recordings / "other.wav"]
    run("continue", tmp_path / "more", *more, model="taslm.zip")
    added = read_table(tmp_path / "more" / "words")
    assert set(added) == {"slow", "fast", "other"}
    check_times(tmp_path / "more", tmp_path / "more")
    check_times(tmp_path / "swap", tmp_path / "swap")
    assert all(1 <= len(row.split()) <= 2 for row in added.values())
    scores = ["--codes", tokens]
    run("score", tmp_path / "scores", *scores, model="taslm.zip")
    rows = {row["utt"]: row for row in read_rows(tmp_path / "scores" / "scores.tsv")}
    assert float(rows["slow"]["both"]) < 0


def test_words_and_nothing_are_continued(run, recordings, tmp_path):
    common = ["--voice", recordings / "other.wav", "--max_words", 2]
    common += ["--max_unit_ratio", 3, "--text_top_p", 0.9]
    kinds = {
        "text": (["--text_file", recordings / "text"], {"slow", "fast", "other"}),
        "unconditional": (["--num_samples", 2], {"sample0000", "sample0001"}),
    }
    for kind, (options, names) in kinds.items():
        options = ["--prompt_kind", kind, *options, *common]
        run("continue", tmp_path / kind, *options, model="taslm.zip")
        added = read_table(tmp_path / kind / "words")
        assert set(added) >= names
        assert set(read_table(tmp_path / kind / "wav.scp")) == set(added)


def test_texts_are_said_in_the_manner_of_a_recording(run, recordings, tmp_path):
    lines = "b The red dog\na a small bird\nnone --\n"
    (tmp_path / "text").write_text(lines)
    style = tmp_path / "style.wav"
    style.write_bytes((recordings / "slow.wav").read_bytes())
    options = ["--text_file", tmp_path / "text", "--style", style]
    options += ["--style_text", "the red dog"]
    run("say", tmp_path / "said", *options, model="taslm.zip")
    words = read_table(tmp_path / "said" / "words")
    assert words == {"a": "a small bird", "b": "the red dog"}
    assert set(read_table(tmp_path / "said" / "wav.scp")) == {"a", "b"}
    assert ArkTable(tmp_path / "said" / "codes.scp")["b"].shape == (3, 2)
    check_times(tmp_path / "said", tmp_path / "said")
    (row,) = read_rows(tmp_path / "said" / "dropped.tsv")
    assert row["utt"] == "none" and "no word in '--'" in row["reason"]
    style.write_bytes((recordings / "other.wav").read_bytes())
    with pytest.raises(SystemExit, match="holds results with style = .*digest"):
        run("say", tmp_path / "said", *options, model="taslm.zip")


@pytest.mark.parametrize(
    "options, message",
    [
        ([], "give one of --text and --text_file: words to say"),
        (["--text", "dog"], "give --voice or --style"),
        (
            ["--text", "dog", "--voice", "other.wav", "--style_text", "a"],
            "give both",
        ),
        (["--text", "!", "--voice", "other.wav"], "no word in '!'"),
    ],
)
def test_what_say_lacks_is_named(options, message, run, recordings, tmp_path):
    options = [recordings / "other.wav" if o == "other.wav" else o for o in options]
    with pytest.raises(SystemExit, match=f"espnet2-taste say: .*{message}"):
        run("say", tmp_path / "out", *options, model="taslm.zip")


def test_spoken_turns_are_answered(run, tokens, tmp_path):
    options = ["--codes", tokens, "--prompt_kind", "instruct", "--max_words", 2]
    options += ["--max_unit_ratio", 3]
    with pytest.raises(SystemExit, match="no chat template"):
        run("continue", tmp_path / "a", *options, model="taslm.zip")
    options += ["--turn_frame", "the dog", "runs"]
    run("continue", tmp_path / "b", *options, model="taslm.zip")
    assert set(read_table(tmp_path / "b" / "words")) == {"slow", "fast", "other"}


@pytest.mark.parametrize(
    "options, message",
    [
        (["--text", "dog"], "text has no speaker of its own: give --voice"),
        (["--voice", "a.wav"], "give one of --text and --text_file"),
        (["--wav", "a.wav"], "does not go on from speech: leave --wav out"),
    ],
)
def test_prompts_that_do_not_fit_their_kind(options, message, run, tmp_path):
    options = ["--prompt_kind", "text", *options]
    with pytest.raises(SystemExit, match=f"espnet2-taste continue: .*{message}"):
        run("continue", tmp_path / "out", *options, model="taslm.zip")


@pytest.mark.parametrize(
    "options, message",
    [
        ([], "give one of --wav, --wav_scp, found 0"),
        (["--wav", "a.wav", "b/a.wav"], "two files have the same name"),
        (["--wav", "a.wav", "b.wav", "--text", "dog"], "--text is for a single --wav"),
        (["--wav_scp", "nowhere"], "nowhere: expected a text file"),
    ],
)
def test_wrong_calls_are_one_line(options, message, run, tmp_path):
    with pytest.raises(SystemExit, match=f"espnet2-taste tokenize: .*{message}"):
        run("tokenize", tmp_path / "out", *options)


def test_a_pair_that_does_not_exist_is_named(run, tokens, tmp_path):
    options = ["--codes", tokens, "--first", "slow", "--second", "none"]
    with pytest.raises(SystemExit, match="utterance 'none' does not exist"):
        run("swap", tmp_path / "out", *options)
    with pytest.raises(SystemExit, match="give --first and --second, or --pairs"):
        run("swap", tmp_path / "out", *options[:2])
