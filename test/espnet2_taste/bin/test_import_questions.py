"""From recordings or sentence pairs to the accuracy of spoken answers."""

import json

import numpy as np
import pytest

from espnet2_taste.bin import continuations, imports
from espnet2_taste.data.audio import read_audio, write_audio
from espnet2_taste.data.ctm import read_ctm, read_rows, write_ctm, write_rows
from espnet2_taste.data.kaldi_dir import (
    KaldiDir,
    read_kaldi_dir,
    write_kaldi_dir,
    write_table,
)
from espnet2_taste.evaluation.questions import read_answers
from espnet2_taste.structures import WordTiming

PAIR = {"s-pos": "he rules an island", "s-neg": "he rules a ship"}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A set of one sentence pair, every word half a second long."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data" / "pairs"
    wavs = {name: str(folder / f"{name}.wav") for name in PAIR}
    write_kaldi_dir(folder, KaldiDir(wavs, PAIR, dict.fromkeys(PAIR, "s")))
    times = {
        name: [WordTiming(w, i / 2, 0.5) for i, w in enumerate(text.split())]
        for name, text in PAIR.items()
    }
    write_ctm(folder / "ctm", times)
    for path in wavs.values():
        write_audio(path, np.full(32000, 0.1), 16000)
    rows = [("s-pos", "s-neg")]
    write_rows(folder / "pairs.tsv", ("positive", "negative"), rows)
    return tmp_path


def test_a_cloze_is_cut_before_its_ending(recipe, capsys):
    write_table(recipe / "sentences", {"u": "an island or an empire"})
    options = ["--source", "data/pairs", "--cloze", "--sentences", "sentences"]
    imports.main(["questions", *options, "--output_dir", "data/questions"])
    imports.main(["questions", *options, "--output_dir", "data/questions"])
    assert "1 questions, as it was" in capsys.readouterr().out
    tables = read_kaldi_dir("data/questions")
    assert tables.text == {"s-pos-question": "he rules"}
    speech, rate = read_audio(tables.wav["s-pos-question"])
    assert (len(speech), rate) == (16000, 16000)
    assert [w.word for w in read_ctm("data/questions/ctm")["s-pos-question"]] == [
        "he",
        "rules",
    ]
    arks = [*options, "--audio_format", "flac.ark", "--output_dir", "data/in_arks"]
    imports.main(["questions", *arks])
    (entry,) = read_kaldi_dir("data/in_arks").wav.values()
    assert entry.startswith("data/in_arks/audio.ark:")
    assert np.array_equal(read_audio(entry)[0], speech)
    assert read_rows("data/questions/prompt_words")[0]["n_words"] == "2"
    assert read_answers(recipe / "data" / "questions" / "answers.tsv") == {
        "s-pos-question": ["island"]
    }
    slow = [*options, "--fs", "8000", "--output_dir", "data/questions"]
    imports.main(["questions", *slow])  # another rate is another set
    assert read_audio(tables.wav["s-pos-question"])[1] == 8000


def test_recordings_with_answers_are_scored(recipe):
    source = recipe / "web"
    source.mkdir()
    write_audio(source / "q1.wav", np.full(1600, 0.1), 16000)
    rows = [("q1", "Which river?", "the Nile"), ("q1", "Which river?", "Amazon")]
    write_rows(source / "questions.tsv", ("utt", "question", "answer"), rows)
    imports.main(["questions", "--source", "web", "--output_dir", "data/web"])
    assert read_kaldi_dir("data/web").text == {"q1": "which river"}
    said = recipe / "cont" / "web"
    said.mkdir(parents=True)
    write_table(said / "text", {"q1": "the amazon is long"})
    options = ["--sets", "web", "--continuation_dir", "cont", "--output_dir", "out"]
    continuations.main(["answers", *options, "--transcripts", "text"])
    result = json.loads((recipe / "out" / "answers.json").read_text())
    assert result["sets"]["web"]["accuracy"] == 1.0
    assert "own words" in result["sets"]["web"]["transcripts"]
    assert read_rows("out/web.tsv")[0]["said"] == "the amazon is long"
    write_table(said / "text", {"other": "words"})
    with pytest.raises(SystemExit, match="knows no question.*'q1'"):
        continuations.main(["answers", *options, "--transcripts", "text"])


def test_errors_name_the_item(recipe, capsys):
    source = recipe / "web"
    source.mkdir()
    columns = ("utt", "question", "answer")
    write_rows(source / "questions.tsv", columns, [("q1", "Which?", "this")])
    options = ["--source", "web", "--output_dir", "data/web"]
    with pytest.raises(SystemExit, match="recording of question 'q1'"):
        imports.main(["questions", *options])
    rows = [("q1", "Which?", "this"), ("q1", "Who?", "me")]
    write_rows(source / "questions.tsv", columns, rows)
    write_audio(source / "q1.wav", np.full(1600, 0.1), 16000)
    with pytest.raises(SystemExit, match="one text with words for question 'q1'"):
        imports.main(["questions", *options])
    with pytest.raises(SystemExit, match="--sentences is for --cloze"):
        imports.main(["questions", *options, "--sentences", "x"])
    write_ctm(recipe / "data" / "pairs" / "ctm", {})
    with pytest.raises(SystemExit, match="'s-pos' needs audio and a time"):
        imports.main(["questions", "--source", "data/pairs", "--cloze", *options[2:]])
