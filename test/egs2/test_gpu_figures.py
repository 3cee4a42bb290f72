"""The figures of the published sizes: the script runs, at a tiny size, on a CPU."""

import json
from importlib import util
from pathlib import Path

import numpy as np
import pytest
import torch

from espnet2_taste.evaluation import benchmark, stream_benchmark

RECIPE = Path(__file__).resolve().parents[2] / "egs2/libritts/taslm1"
TINY = benchmark.LmSize(50, 16, 24, 2, 2, 2)


@pytest.fixture
def figures(monkeypatch):
    monkeypatch.setitem(benchmark.LM_SIZES, "medium", TINY)
    path = RECIPE / "local/gpu_figures.py"
    spec = util.spec_from_file_location("gpu_figures", path)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def options(*more):
    config = RECIPE / "conf/train_taste_vq_debug.yaml"
    return [
        *("--device", "cpu", "--lm_size", "medium", "--prompts", "1", "3"),
        *("--words", "2", "6", "--training_batch", "2", "4", "--speech_batch"),
        *("2", "1", "--taste_config", str(config), "--matrix", "64", "--repeat", "1"),
        *("--whisper_size", "80", "16", "2", "32", "2", "1500", *more),
    ]


def test_every_figure_is_there(figures, tmp_path, capsys):
    output = tmp_path / "figures.json"
    figures.main(options("--output", str(output), "--compile", "eager"))
    rows = json.loads(output.read_text())["figures"]
    found = {row["what"]: (float(row["value"]), row["unit"]) for row in rows}
    assert list(found) == [
        *(f"TASLM medium, {n} prompts{end}" for n in (1, 3) for end in ENDS),
        *(f"TASLM medium, eager, {n} prompts{end}" for n in (1, 3) for end in ENDS),
        *("TASLM, a step of training", "TASLM, share of the operations"),
        "TASTE, a step with 2 x 1 s",
    ]
    # differences of times of so few words may have either sign on a busy machine
    assert np.isfinite([value for value, _ in found.values()]).all()
    assert [row["goal"] for row in rows] == [*4 * ("", "2"), "", "40", ""]
    assert capsys.readouterr().out.count("\n| TASLM medium, ") == 8


ENDS = ("", ", a row against the limit")


def test_the_model_has_the_published_sizes(figures):
    args = figures.get_parser().parse_args([])
    args.taste_config = str(RECIPE / args.taste_config)
    with torch.device("meta"):
        model = figures.build_taste(args)
    sizes = [sum(p.numel() for p in m.parameters()) for m in model.children()]
    assert sizes[1] == 153_422_339  # of the unit decoder, test_libritts_models
    assert 636e6 < sum(p.numel() for p in model.tokenizer.encoder.parameters()) < 638e6


def test_the_first_audio_is_that_of_the_benchmark(figures, monkeypatch):
    given = []

    def measure(*arguments):
        given.append(arguments)
        return [{"first": 0.25, "seconds": 2.0}]

    monkeypatch.setattr(stream_benchmark, "stream_rows", measure)
    more = ("--taslm", "taslm.zip", "--wav", "a.wav", "--repeat", "3")
    made = figures.Figures(figures.get_parser().parse_args(options(*more)))
    made.first_audio()
    assert given == [("taslm.zip", None, "a.wav", (TINY, "cpu", torch.bfloat16), 3)]
    assert made.rows[0][:4] == (
        "first audio of a stream, LM medium",
        "250",
        "ms",
        "300",
    )
