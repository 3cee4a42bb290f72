"""The figures of the published sizes: the script runs, at a tiny size, on a CPU."""

import json
from importlib import util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from espnet2_taste.evaluation import benchmark
from espnet2_taste.inference.spoken_lm import SpokenLM

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
    figures.main(options("--output", str(output)))
    rows = json.loads(output.read_text())["figures"]
    found = {row["what"]: (float(row["value"]), row["unit"]) for row in rows}
    assert list(found) == [
        *(f"TASLM medium, {n} prompts{end}" for n in (1, 3) for end in ("", LIMIT)),
        *("TASLM, a step of training", "TASLM, share of the operations"),
        "TASTE, a step with 2 x 1 s",
    ]
    # differences of times of so few words may have either sign on a busy machine
    assert np.isfinite([value for value, _ in found.values()]).all()
    assert [row["goal"] for row in rows] == ["", "2", "", "2", "", "40", ""]
    assert capsys.readouterr().out.count("\n| TASLM medium, ") == 4


LIMIT = ", a row against the limit"


def test_the_model_has_the_published_sizes(figures):
    import torch

    args = figures.get_parser().parse_args([])
    args.taste_config = str(RECIPE / args.taste_config)
    with torch.device("meta"):
        model = figures.build_taste(args)
    sizes = [sum(p.numel() for p in m.parameters()) for m in model.children()]
    assert sizes[1] == 153_422_339  # of the unit decoder, test_libritts_models
    assert 636e6 < sum(p.numel() for p in model.tokenizer.encoder.parameters()) < 638e6


def test_the_first_piece_with_sound_counts_of_a_new_stream_each_turn(
    figures, monkeypatch
):
    begun = []

    def stream_speech(prompt, speaker):
        assert prompt.codes.shape == (4, 3) and speaker.shape == (5,)
        begun.append(0)
        for size in (0, 7, 9):
            begun[-1] += 1
            yield SimpleNamespace(wave=np.zeros(size))

    quantizer = SimpleNamespace(num_codebooks=3)
    model = SimpleNamespace(tokenizer=SimpleNamespace(quantizer=quantizer))
    tokenizer = SimpleNamespace(
        encoder=SimpleNamespace(model=model), vocoder=SimpleNamespace(spembs_size=5)
    )
    lm = SimpleNamespace(tokenizer=tokenizer, stream_speech=stream_speech)
    monkeypatch.setattr(SpokenLM, "from_pretrained", lambda *args, **options: lm)
    args = figures.get_parser().parse_args(options("--taslm", "x", "--repeat", "3"))
    made = figures.Figures(args)
    made.first_audio()
    assert begun == [2] * 4 and made.rows[0][0] == "first audio of a stream"
