"""Scores of spoken language models from what stage 12 leaves."""

import json
import math

import numpy as np
import pytest

from espnet2_taste.bin import slm_evaluate
from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.ctm import write_ctm, write_rows
from espnet2_taste.data.kaldi_dir import write_table
from espnet2_taste.evaluation.report import write_report
from espnet2_taste.evaluation.slm import compare_perplexity, perplexity
from espnet2_taste.structures import WordTiming

COLUMNS = ("utt", "tokens_sum", "tokens_mean", "base_tokens_sum", "base_tokens_mean")


def timed(rate, count=4, begin=0.0):
    return [WordTiming("dog", begin + i / rate, 1 / rate) for i in range(count)]


def write_rendition(folder, texts, aligned):
    """Speech with what a recognizer found in it: one "dog" an utterance."""
    folder.mkdir(parents=True, exist_ok=True)
    wavs = {name: str(folder / f"{name}.wav") for name in texts}
    for name, words in aligned.items():
        write_audio(wavs[name], np.full(int(16000 * words[-1].end), 0.1), 16000)
    write_table(folder / "wav.scp", wavs)
    write_table(folder / "text", texts)
    write_table(folder / "text_asr", dict.fromkeys(texts, "dog"))
    write_rows(folder / "not_aligned.tsv", ("utt", "reason"), [])
    write_ctm(folder / "ctm_aligned", aligned)


@pytest.fixture
def recipe(tmp_path):
    dump, exp = tmp_path / "dump", tmp_path / "exp" / "taslm_embed"
    for folder in (dump / "test", dump / "pairs_style", exp / "continuation" / "test"):
        folder.mkdir(parents=True)
    for name in ("test", "pairs_style"):
        (exp / "likelihood" / name).mkdir(parents=True)
    rates = {f"u{i}": 2.0 + i for i in range(4)}
    write_ctm(dump / "test" / "ctm_aligned", {n: timed(r) for n, r in rates.items()})
    continued = exp / "continuation" / "test"
    added = {name: timed(2 * rate) for name, rate in rates.items()}
    write_rendition(continued, dict.fromkeys(rates, "dog dog dog dog"), added)
    whole = {n: timed(r) + timed(2 * r, begin=4 / r) for n, r in rates.items()}
    write_rendition(continued / "full", dict.fromkeys(rates, "dog " * 7 + "dog"), whole)
    rows = [(name, -10.0, -2.0, -8.0, -1.6) for name in rates]
    write_rows(exp / "likelihood" / "test" / "scores.tsv", COLUMNS, rows)
    scores = [("p1", -1.0), ("n1", -2.0), ("p2", -3.0), ("n2", -1.0)]
    file = exp / "likelihood" / "pairs_style" / "scores.tsv"
    write_rows(file, ("utt", "both_mean"), scores)
    pairs = [("p1", "n1"), ("p2", "n2")]
    write_rows(dump / "pairs_style" / "pairs.tsv", ("positive", "negative"), pairs)
    return tmp_path


def run(root, *more):
    command = ["--expdir", str(root / "exp"), "--dump_dir", str(root / "dump")]
    command += ["--recognizer", "unused", "--pair_sets", "pairs_style"]
    slm_evaluate.main(["models", *command, *more])
    return json.loads((root / "exp" / "taslm_scores" / "scores.json").read_text())


def test_scores_of_a_model(recipe):
    scores = run(recipe)["models"]["taslm_embed"]
    assert scores["perplexity"]["model"] == pytest.approx(math.exp(2))
    assert scores["perplexity"]["ratio"] == pytest.approx(math.exp(0.4))
    assert scores["pairs"]["pairs_style"]["accuracy"] == 0.5
    assert scores["rate"]["pearson"] == pytest.approx(1)
    assert scores["rate"]["continuation_mean"] == pytest.approx(7, rel=1e-3)
    assert scores["continuation"]["wer"] == 0.75  # one of four words was heard
    page = write_report({"slm": {"models": {"taslm_embed": scores}}}, ["test"])
    assert "| taslm_embed | WER of continuations |" in page
    assert "### Pair accuracy by score" in page


def test_only_the_first_words_are_the_prompt(recipe):
    rows = [(f"u{i}", 1 + i % 2) for i in range(4)]
    write_rows(recipe / "dump" / "test" / "prompt_words", ("utt", "n_words"), rows)
    assert run(recipe)["models"]["taslm_embed"]["rate"]["utterances"] == 4


def test_errors_are_one_line(recipe, tmp_path):
    with pytest.raises(SystemExit, match="--pair_score x: scores.tsv has both_mean"):
        run(recipe, "--pair_score", "x")
    with pytest.raises(SystemExit, match="run stage 12"):
        run(tmp_path / "empty")


def test_perplexity_weighs_tokens():
    scores = {
        "a": {"text_sum": -2.0, "text_mean": -1.0},
        "b": {"text_sum": -16.0, "text_mean": -2.0},
    }
    assert perplexity(scores, "text_sum", "text_mean") == pytest.approx(math.exp(1.8))
    assert math.isnan(compare_perplexity(scores)["ratio"])
