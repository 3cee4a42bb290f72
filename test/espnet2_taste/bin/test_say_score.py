"""Texts of a set are said in three ways and scored, with a tiny packed model."""

import json

import numpy as np
import pytest

from espnet2_taste.bin import say_score
from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.ctm import read_ctm, write_ctm
from espnet2_taste.data.kaldi_dir import read_table, write_table
from espnet2_taste.evaluation.report import write_report
from espnet2_taste.structures import WordTiming

TEXTS = {"a1": "dog", "a2": "bird", "b1": "the dog", "b2": "red"}


def write_set(folder):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    wavs = {name: str(folder / f"{name}.wav") for name in TEXTS}
    for path in wavs.values():
        write_audio(path, 0.1 * rng.standard_normal(24000), 16000)
    write_table(folder / "wav.scp", wavs)
    write_table(folder / "text", TEXTS)
    write_table(folder / "utt2spk", {name: name[0] for name in TEXTS})
    times = {
        name: [WordTiming(w, 0.3 * i, 0.3) for i, w in enumerate(text.split())]
        for name, text in TEXTS.items()
    }
    write_ctm(folder / "ctm_aligned", times)


@pytest.fixture
def command(packed_models, asr_exp_builder, bpe_dir, tmp_path):
    from espnet2_taste.inference.packages import pretrained_files

    text = {"token_type": "bpe", "bpemodel": str(bpe_dir / "bpe.model")}
    recognizer = asr_exp_builder(**text)
    model, cache = packed_models[0] / "taslm.zip", tmp_path / "cache"
    files = pretrained_files(model, cache)
    write_set(tmp_path / "dump" / "test")
    options = ["--model", model, "--cache_dir", cache, "--recognizer", recognizer]
    options += ["--text_only", files["taste_train_config"]]
    options += ["--dump_dir", tmp_path / "dump", "--output_dir", tmp_path / "said"]
    options += ["--streamed_words", 2, "--streamed_turns", 1]  # long words, untrained
    return [*map(str, options), "--batch_size", "3", "--sets", "test"]


def test_a_set_is_said_and_scored(command, tmp_path, capsys):
    say_score.main(command)
    content = json.loads((tmp_path / "said" / "scores.json").read_text())
    scores = content["sets"]["test"]
    assert set(scores) == {"text_only", "plain", "styled"}
    for label, row in scores.items():
        folder = tmp_path / "said" / "test" / label
        assert set(read_table(folder / "wav.scp")) == set(TEXTS)
        claimed = read_ctm(folder / "ctm")
        assert [t.word for t in claimed["b1"]] == ["the", "dog"]
        assert 0 <= row["voice_named"] <= 1
    speed = content["streaming"]
    assert speed["words"] == 2 and speed["prompts"] == len(TEXTS)
    assert 0 < speed["first"] <= speed["seconds"]
    page = write_report({"saying": content}, ["test"])
    table = capsys.readouterr().out.split("\n\n")[1].strip()
    assert "## Texts that are said" in page and table in page
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("said/test/*/*")}
    say_score.main(command)
    again = json.loads((tmp_path / "said" / "scores.json").read_text())
    assert again["sets"] == content["sets"]
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_nobody_can_be_followed(command, tmp_path):
    write_table(tmp_path / "dump" / "test" / "utt2spk", {name: name for name in TEXTS})
    with pytest.raises(SystemExit, match="say_score: .*no speaker has two recordings"):
        say_score.main(command)
