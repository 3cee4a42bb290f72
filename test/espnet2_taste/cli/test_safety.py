"""What others send cannot run, and cannot write outside of the output."""

import shutil

import pytest

from espnet2_taste.data.arks import ArkTable, write_ark
from espnet2_taste.data.ctm import read_rows
from espnet2_taste.data.kaldi_dir import read_table

SHORT = ["--max_unit_ratio", 3]


@pytest.fixture
def sent(tokens, tmp_path):
    """A copy of the folder of tokens, as somebody sends it."""
    shutil.copytree(tokens, tmp_path / "sent")
    return tmp_path / "sent"


def change(table, utterance, line):
    """Put another line in the place of an utterance."""
    lines = table.read_text().splitlines()
    lines = [line if row.split()[0] == utterance else row for row in lines]
    table.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("name", ["codes.scp", "spembs.scp"])
def test_a_command_in_a_folder_of_tokens_is_not_run(run, sent, tmp_path, name):
    change(sent / name, "fast", f"fast touch {tmp_path / 'mark'} |")
    run("resynthesize", tmp_path / "out", "--codes", sent, *SHORT)
    assert not (tmp_path / "mark").exists()
    assert set(read_table(tmp_path / "out" / "wav.scp")) == {"other", "slow"}
    (row,) = read_rows(tmp_path / "out" / "dropped.tsv")
    assert row["utt"] == "fast" and "never run" in row["reason"]


def test_ids_do_not_lead_outside_of_the_output(run, sent, tmp_path):
    change(sent / "words", "fast", "../../../../x the red dog")
    row = (sent / "codes.scp").read_text().splitlines()[0].split()[1]
    change(sent / "codes.scp", "fast", f"../../../../x {row}")
    run("resynthesize", tmp_path / "out", "--codes", sent, *SHORT)
    assert not list(tmp_path.rglob("x.wav"))
    (dropped,) = read_rows(tmp_path / "out" / "dropped.tsv")
    assert "no slash" in dropped["reason"]


def test_words_and_codes_that_differ_cost_one_utterance(run, sent, tmp_path):
    change(sent / "words", "fast", "fast the red dog runs")
    run("resynthesize", tmp_path / "out", "--codes", sent, *SHORT)
    (dropped,) = read_rows(tmp_path / "out" / "dropped.tsv")
    assert "4 words with 3 rows of codes" in dropped["reason"]


def test_codes_of_another_model_or_out_of_range_are_refused(run, sent, tmp_path):
    change(sent / "model", "fast", "fast 0123456789abcdef")
    codes = ArkTable(sent / "codes.scp")["slow"]
    write_ark(sent, "codes_wrong", {"slow": codes + 99}, relative=True)
    wrong = (sent / "codes_wrong.scp").read_text().strip()
    change(sent / "codes.scp", "slow", wrong)
    run("resynthesize", tmp_path / "out", "--codes", sent, *SHORT)
    rows = read_rows(tmp_path / "out" / "dropped.tsv")
    reasons = {row["utt"]: row["reason"] for row in rows}
    assert "made by another model" in reasons["fast"]
    assert "expected codes of shape (3, 2), 0 to" in reasons["slow"]


def test_commands_in_a_list_of_recordings_are_not_run(run, recordings, tmp_path):
    table = tmp_path / "wav.scp"
    lines = [f"a touch {tmp_path / 'mark'} |", f"slow {recordings / 'slow.wav'}"]
    table.write_text("\n".join(lines) + "\n")
    texts = tmp_path / "text"
    texts.write_text("a dog\nslow the red dog\n")
    run("tokenize", tmp_path / "out", "--wav_scp", table, "--text_file", texts)
    assert not (tmp_path / "mark").exists()
    (dropped,) = read_rows(tmp_path / "out" / "dropped.tsv")
    assert dropped["utt"] == "a" and "which is not run for safety" in dropped["reason"]
