"""Costs of designs: rows, padding, schedules, the table."""

import json

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.bin import tables
from espnet2_taste.data.ctm import read_rows, write_rows
from espnet2_taste.evaluation.budget import (
    count_rows,
    equal_flops_steps,
    scaled_steps,
)
from espnet2_taste.slm.layouts.parallel import ParallelLayout
from espnet2_taste.slm.layouts.streams import Inventory, TextVocabulary
from espnet2_taste.slm.layouts.text_aligned import TokenDelayLayout, WordDelayLayout
from espnet2_taste.slm.layouts.text_ctc import TextCtcLayout
from espnet2_taste.slm.layouts.utterance import Utterance

TEXT = TextVocabulary(np.arange(6) % 2 == 0, np.arange(6) < 2, 1)


def test_rows_and_padding_are_counted():
    utterances = [
        Utterance(((2,), (4, 3)), ((0,), (0,), (1,), (2,))),
        Utterance(((2,),), ((1,), (1,))),
    ]
    budget = count_rows(ParallelLayout(Inventory(TEXT, 3)), utterances)
    assert (budget["utterances"], budget["rows"]) == (2, 4.0)
    assert budget["rows_per_second"] == pytest.approx(8 / (6 / 25))
    assert budget["padding"] == pytest.approx(2 / 16)
    assert budget["text_padding"] == pytest.approx(2 / 8)
    tails = count_rows(TextCtcLayout(Inventory(TEXT, 3)), utterances)
    assert tails["tail"] == 2.0 and tails["padding"] == 0 and tails["rows"] == 3.0
    with pytest.raises(ValueError, match="no utterances"):
        count_rows(ParallelLayout(Inventory(TEXT, 3)), [])


@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=6),
    st.integers(0, 3),
    st.sampled_from([WordDelayLayout, TokenDelayLayout]),
)
def test_rows_of_taslm_hold_every_token_and_every_word_once(sizes, delay, layout):
    codes = tuple((word,) * 2 for word in range(len(sizes)))
    utterance = Utterance(tuple((2,) * size for size in sizes), codes=codes)
    grid = layout(Inventory(TEXT, 0), delay).encode(utterance)
    tokens, words = sum(sizes), len(sizes)
    assert grid.ids.shape == (tokens + max(delay, 1), 3)
    text, *codes = (~grid.padding).T
    assert text[: tokens + 1].all() and not text[tokens + 1 :].any()  # the end too
    for stream in range(2):
        placed = grid.ids[codes[stream], stream + 1]
        assert placed.tolist() == list(range(words))


def test_equal_arithmetic_means_fewer_steps_for_longer_rows():
    assert equal_flops_steps(80, 8, 240.0, 60.0) == 2  # instead of 10
    assert equal_flops_steps(80, 8, 60.0, 240.0) == 40
    assert equal_flops_steps(8, 8, 1e9, 1.0) == 1


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=5),
    st.floats(1e-3, 20.0),
)
def test_a_scaled_schedule_keeps_its_shape(widths, share):
    steps = [0, *np.cumsum(widths).tolist()]
    scaled = scaled_steps(steps, share)
    assert scaled[0] == 0 and sorted(set(scaled)) == scaled
    if share * min(widths) >= 1.0:
        assert all(abs(a - b * share) <= 0.5 + 1e-6 for a, b in zip(scaled, steps))


def test_a_training_with_fewer_steps_ends_at_the_end_of_its_schedule():
    from espnet2.schedulers.piecewise_linear_warmup_lr import PiecewiseLinearWarmupLR

    rates = {"warmup_lr_list": [0.0, 2e-3, 5e-5]}
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=5e-5)
    corners = scaled_steps([0, 60, 935], 190 / 935)
    scheduler = PiecewiseLinearWarmupLR(optimizer, warmup_steps_list=corners, **rates)
    for _ in range(189):
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(5e-5)


def write_training(folder, seconds=(76.5, 20.0), total=126, flops=1e12):
    """What ESPnet keeps of a training, and the cost of its steps."""
    folder.mkdir(parents=True, exist_ok=True)
    stats = {
        epoch: {
            "train": {
                "time": {"__timedelta_seconds__": time},
                "total_count": total * epoch // len(seconds),
            }
        }
        for epoch, time in enumerate(seconds, 1)
    }
    reporter = {"epoch": len(seconds), "stats": stats}
    torch.save({"reporter": reporter}, folder / "checkpoint.pth")
    config = {"scheduler_conf": {"warmup_steps_list": [0, 60, 126]}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    cost = {"trained": 300, "total": 1000, "flops": flops}
    (folder / "step_cost.json").write_text(json.dumps(cost))


def test_the_table_shows_what_is_there(tmp_path, capsys):
    folder = tmp_path / "taslm_embed"
    write_training(folder)
    (folder / "continuation" / "test").mkdir(parents=True)
    speed = folder / "continuation" / "test" / "speed.tsv"
    write_rows(speed, ("rows", "seconds"), [(30, 2.0)])
    header = ("design", "rows", "padding_percent")
    rows = [("taslm (text_aligned)", 10.0, 5.0), ("gslm", 40.0, "-")]
    write_rows(tmp_path / "padding.tsv", header, rows)
    command = ["--expdir", str(tmp_path), "--names", "taslm_embed gslm"]
    command += ["--padding", str(tmp_path / "padding.tsv")]
    tables.main(["budget", *command, "--output", str(tmp_path / "budgets.tsv")])
    first, second = read_rows(tmp_path / "budgets.tsv")
    assert first["rows_written_per_second"] == "15.0" and first["epochs"] == "2"
    assert first["training_teraflops"] == "126.00" and first["padding_percent"] == "5.0"
    assert (first["trained_parameters"], first["parameters"]) == ("300", "1000")
    assert first["training_seconds"] == "96"
    assert set(second.values()) == {"gslm", "40.0", "-"}
    write_training(tmp_path / "gslm", flops=4e12)
    tables.main(["budget", *command, "--output", str(tmp_path / "budgets.tsv")])
    table = read_rows(tmp_path / "budgets.tsv")
    assert [r["equal_flops_steps_an_epoch"] for r in table] == ["63", "16"]
    corners = [r["equal_flops_warmup_steps"] for r in table]
    assert corners == ["[0,60,126]", "[0,15,32]"]
    (tmp_path / "more").mkdir()
    command[1:4] = [str(tmp_path / "more"), "--names", "../taslm_embed ../gslm"]
    tables.main(["budget", *command, "--output", str(tmp_path / "more.tsv")])
    again = [row["design"] for row in read_rows(tmp_path / "more.tsv")]
    assert again == ["taslm_embed", "gslm"]
    assert "taslm_embed" in capsys.readouterr().out
    command[-1] = str(tmp_path / "nowhere")
    with pytest.raises(SystemExit, match="tables budget: "):
        tables.main(["budget", *command])
