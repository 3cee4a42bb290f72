"""Memory of LMs and of encoder states: computed numbers follow from the sizes."""

from pathlib import Path

import pytest
import torch
from torch import nn

from espnet2_taste.bin import benchmark
from espnet2_taste.evaluation import memory
from espnet2_taste.evaluation.benchmark import make_taslm, model_megabytes
from espnet2_taste.metrics.tables import markdown_table
from espnet2_taste.slm.backbone import FullBackbone

README = Path(__file__).resolve().parents[3] / "egs2/libritts/taslm1/README.md"
GIB, TINY = 2**30, memory.TINY


def kept(dtype=torch.float32, adapt=memory.keep_no_base):
    """Bytes of a model that is there, and numbers that learn."""
    taslm = make_taslm(TINY, "cpu", dtype, adapt)
    learning = sum(p.numel() for p in taslm.parameters() if p.requires_grad)
    return model_megabytes(taslm) * 2**20, learning


def test_computed_is_what_a_model_that_is_there_has():
    (row,) = memory.computed_rows({"tiny": TINY})
    whole, learning = kept()
    assert row["all trained"] == pytest.approx((whole + 12 * learning) / GIB)
    twice, _ = kept(adapt=FullBackbone)
    assert row["all trained, KL"] == pytest.approx((twice + 12 * learning) / GIB)
    with_adapters, adapters = kept(torch.bfloat16, memory.LoraBackbone)
    needed = with_adapters + 12 * adapters
    assert row["LoRA 64, bfloat16"] == pytest.approx(needed / GIB)
    lm = make_taslm(TINY, "cpu", torch.float32, memory.keep_no_base).backbone.causal_lm
    layers = (m for m in lm.base_model.modules() if isinstance(m, nn.Linear))
    packed = sum(m.weight.numel() for m in layers)
    saved = packed * (2 - 0.5 - 0.126953125 / 8)
    assert row["LoRA 64, 4 bit"] == pytest.approx((needed - saved) / GIB)


def test_the_readme_shows_what_the_command_prints():
    rows = memory.computed_rows({"135m": memory.LM_SIZES["135m"]})
    line = markdown_table(tuple(rows[0]), [tuple(rows[0].values())]).splitlines()[-1]
    assert line in README.read_text(encoding="utf-8")


def test_states_of_a_window_are_measured_and_those_of_an_hour_computed(
    monkeypatch, capsys
):
    monkeypatch.setitem(memory.WHISPER_SIZES, "large", (8, 16, 2, 32, 3))
    command = ["--tasks", "states", "--windows", "2", "--num_threads", "1"]
    benchmark.main(command)
    assert "| large | 2 | bfloat16 |" in capsys.readouterr().out
    wide, half = memory.state_rows("large", 2, "cpu")
    assert wide["states GiB"] == pytest.approx(2 * 2 * 1500 * 16 * 4 / GIB)
    assert wide["measured GiB"] >= 0
    assert wide["kept, GB an hour"] == pytest.approx(180_000 * 2 * 16 * 4 / 1e9)
    assert half["kept, GB an hour"] == wide["kept, GB an hour"] / 2
