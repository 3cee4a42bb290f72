"""The comparison of designs: heard continuations, pairs, seeds, the table."""

import json
import math
import shutil

import numpy as np
import pytest

from espnet2_taste.bin import slm_evaluate
from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.ctm import write_ctm, write_rows
from espnet2_taste.data.kaldi_dir import write_table
from espnet2_taste.evaluation.continuation_reader import ContinuationReader, load_reader
from espnet2_taste.evaluation.report import write_report
from espnet2_taste.evaluation.systems import merge_seeds
from espnet2_taste.evaluation.systems_report import systems_points
from espnet2_taste.metrics.tables import write_json
from espnet2_taste.structures import WordTiming

ASR = "exp/asr"
PROMPTS = {"u1": "the dog", "u2": "a cat", "u3": "the fox"}
ADDED = {"u1": "sees a cat", "u2": "runs", "u3": ""}


@pytest.fixture
def recipe(tmp_path):
    """Two seeds of a design with text, one of a design that only speaks."""
    dump = tmp_path / "dump"
    for name in ("prompts", "pairs"):
        (dump / name).mkdir(parents=True)
    times = {n: [WordTiming("w", 0.0, 0.25)] for n in PROMPTS}
    write_ctm(dump / "prompts" / "ctm_aligned", times)
    pairs = ("positive", "negative")
    write_rows(dump / "pairs" / "pairs.tsv", pairs, [("p", "n")])
    for seed in ("exp", "exp/seed_1"):
        make_design(tmp_path / seed / "both", {"p": -1.0, "n": -2.0})
    make_design(tmp_path / "exp" / "speech_only", {"p": -3.0, "n": -2.0})
    (dump / "questions").mkdir()
    answers = [("u1", "cat"), ("u2", "dog"), ("u2", "bird"), ("u3", "fox")]
    write_rows(dump / "questions" / "answers.tsv", ("utt", "answer"), answers)
    continued = tmp_path / "exp" / "both" / "continuation"
    shutil.copytree(continued / "prompts", continued / "questions")
    return tmp_path


def make_design(exp, scores):
    continued = exp / "continuation" / "prompts"
    (continued / "prompt").mkdir(parents=True)
    (exp / "likelihood" / "pairs").mkdir(parents=True)
    columns = ("utt", "both_mean", "both_sum", "speech_sum", "text_sum")
    rows = [(name, value, value, value, 0.0) for name, value in scores.items()]
    write_rows(exp / "likelihood" / "pairs" / "scores.tsv", columns, rows)
    write_table(continued / "prompt" / "text", PROMPTS)
    wavs = {name: str(continued / f"{name}.wav") for name in PROMPTS}
    for path in wavs.values():
        write_audio(path, np.zeros(8000, np.float32), 16000)
    write_table(continued / "wav.scp", wavs)
    write_table(continued / "text_recognized", ADDED)
    write_json(continued / "text_recognized.json", {"recognizer": ASR})


def run(root, llm, names="both speech_only absent", *options):
    command = ["--expdirs", f"{root / 'exp'} {root / 'exp' / 'seed_1'}"]
    command += ["--names", names, "--dump_dir", str(root / "dump"), "--recognizer", ASR]
    command += ["--pair_sets", "pairs", "--lm", str(llm)]
    command += ["--question_set", "questions", *options]
    slm_evaluate.main(["designs", *command, "--output_dir", str(root / "scores")])
    return json.loads((root / "scores" / "scores.json").read_text())


def test_designs_with_and_without_text_are_scored_alike(recipe, tiny_llm):
    study = run(recipe, tiny_llm)
    assert list(study["designs"]) == ["both", "speech_only"]
    both, other = study["designs"].values()
    assert both["pairs"]["pairs"]["both_mean"]["accuracy"]["mean"] == 1
    assert other["pairs"]["pairs"]["both_mean"]["accuracy"]["mean"] == 0
    assert both["perplexity"]["seeds"] == 2 and other["perplexity"]["seeds"] == 1
    assert both["perplexity"]["mean"] == pytest.approx(other["perplexity"]["mean"])
    assert both["words"]["mean"] == 4 and both["silent"]["mean"] == 1
    assert both["rate"]["utterances"]["mean"] == 2
    assert both["answers"]["accuracy"]["mean"] == pytest.approx(1 / 3)
    assert both["answers"]["by_chance"]["mean"] == 0 and "answers" not in other
    assert (recipe / "scores/images/designs.png").read_bytes().startswith(b"\x89PNG")
    page = write_report({"systems": study}, ["test"])
    assert "## Designs compared" in page and "| speech_only |" in page


def test_a_design_may_lie_elsewhere(recipe, tiny_llm):
    command = ["--expdirs", str(recipe / "exp" / "seed_1"), "--study", "again"]
    command += [
        "--names",
        "../both ../absent",
        "--recognizer",
        ASR,
        "--lm",
        str(tiny_llm),
    ]
    command += ["--dump_dir", str(recipe / "dump"), "--output_dir", str(recipe / "x")]
    slm_evaluate.main(["designs", *command])
    study = json.loads((recipe / "x" / "scores.json").read_text())
    assert study["study"] == "again" and list(study["designs"]) == ["both"]


def test_nothing_found_is_one_line(recipe, tiny_llm):
    with pytest.raises(SystemExit, match="stage 16"):
        run(recipe, tiny_llm, names="absent")


def test_an_end_and_a_silence_count_above_the_line_and_below(recipe, tiny_llm):
    study = run(recipe, tiny_llm)
    reader = ContinuationReader.from_dir(tiny_llm)
    nats = [reader([PROMPTS[n]], [ADDED[n]])[0] for n in PROMPTS]
    assert nats[2] > 0  # the end right after the prompt
    found = study["designs"]["both"]
    wanted = math.exp(sum(nats) / (4 + 3))  # words and ends
    assert found["perplexity"]["mean"] == pytest.approx(wanted, rel=1e-4)


def test_lms_that_took_no_part_have_columns(recipe, tiny_llm):
    pytest.importorskip("pocketsphinx", reason="the extra 'ngram' is not installed")
    told = recipe / "exp" / "speech_only" / "continuation" / "prompts"
    write_table(told / "text_recognized", {"u1": "Sees a 1st cat.", "u2": "", "u3": ""})
    lms = ("--other_lms", f"pocketsphinx {tiny_llm}")
    study = run(recipe, tiny_llm, "both speech_only", *lms)
    assert study["settings"]["other_lms"] == lms[1]
    both, other = (design["other_lms"] for design in study["designs"].values())
    first = study["designs"]["both"]["perplexity"]
    assert both[str(tiny_llm)]["perplexity"] == pytest.approx(first)
    reader = load_reader("pocketsphinx")
    nats = sum(reader([PROMPTS[n]], [ADDED[n]])[0] for n in PROMPTS)
    wanted = math.exp(nats / (4 + 3))  # words and ends, that of the silence as well
    assert both["pocketsphinx"]["perplexity"]["mean"] == pytest.approx(wanted)
    assert both["pocketsphinx"]["unknown"]["mean"] == 0
    nats = sum(reader(["the dog", "a cat", "the fox"], ["sees a 1st cat", "", ""]))
    wanted = math.exp(nats / (3 + 3))  # without 1st
    assert other["pocketsphinx"]["perplexity"]["mean"] == pytest.approx(wanted)
    assert other["pocketsphinx"]["unknown"]["mean"] == 1 / 4
    lines = write_report({"systems": study}, ["test"]).splitlines()
    (titles,) = [line for line in lines if line.startswith("| design | coherent")]
    (row,) = [line for line in lines if line.startswith("| speech_only |")]
    cells = dict(zip(titles.split(" | "), row.split(" | ")))
    assert float(cells["... unknown to pocketsphinx"]) == 0.25
    assert float(cells["perplexity, pocketsphinx"]) == pytest.approx(wanted, rel=0.01)


def test_seeds_are_merged():
    runs = [{"a": 1.0, "b": {"c": math.nan}}, {"a": 3.0, "b": {"c": 2.0}, "d": None}]
    merged = merge_seeds(runs)
    assert merged["a"] == {"mean": 2.0, "low": 1.0, "high": 3.0, "seeds": 2}
    assert merged["b"]["c"]["seeds"] == 1
    assert "d" not in merged


def test_a_picture_shows_shares_with_their_range():
    runs = [{"answers": {"accuracy": 0.5}}, {"answers": {"accuracy": 0.7}}]
    designs = {"gslm": merge_seeds(runs), "cascade": merge_seeds([{"perplexity": 9.0}])}
    (panel,) = systems_points(designs).items()
    assert panel[0] == "questions answered"
    assert panel[1]["gslm"] == pytest.approx((0.6, 0.5, 0.7)) and len(panel[1]) == 1
