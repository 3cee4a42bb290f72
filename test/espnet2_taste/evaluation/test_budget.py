"""Costs of designs: rows, padding, arithmetic, logs, the table."""

import numpy as np
import pytest

from espnet2_taste.bin import budget_table
from espnet2_taste.data.ctm import read_rows, write_rows
from espnet2_taste.evaluation.budget import (
    count_rows,
    equal_flops_steps,
    training_flops,
)
from espnet2_taste.evaluation.training_log import read_training_log, timespan
from espnet2_taste.slm.layouts.parallel import ParallelLayout
from espnet2_taste.slm.layouts.streams import Inventory, TextVocabulary
from espnet2_taste.slm.layouts.text_ctc import TextCtcLayout
from espnet2_taste.slm.layouts.utterance import Utterance

TEXT = TextVocabulary(np.arange(6) % 2 == 0, np.arange(6) < 2, 1)
LOG = """
INFO: [train] mini-batch sizes summary: N-batch=42, mean=16.0, min=16, max=17
INFO: [valid] mini-batch sizes summary: N-batch=5, mean=16.0, min=16, max=16
INFO: trainable parameters: 300 of 1000
INFO: 1epoch results: [train] iter_time=0.005, loss=1, train_time=1.2, \
time=1 minute and 16.5 seconds, total_count=63, [valid] loss=2, time=4.3 seconds, \
total_count=6
INFO: 2epoch results: [train] loss=1, time=30 seconds, total_count=126, [valid] \
time=9 hours, 1 minute and 2 seconds, total_count=12
INFO: trainable parameters: 300 of 1000
INFO: 2epoch results: [train] loss=1, time=20 seconds, total_count=126, [valid] time=2
"""


def test_rows_and_padding_are_counted():
    utterances = [
        Utterance(((2,), (4, 3)), ((0,), (0,), (1,), (2,))),
        Utterance(((2,),), ((1,), (1,))),
    ]
    budget = count_rows(ParallelLayout(Inventory(TEXT, 3)), utterances)
    assert (budget.utterances, budget.rows) == (2, 4.0)
    assert budget.rows_per_second == pytest.approx(8 / (6 / 25))
    assert budget.padding == pytest.approx(2 / 16)
    assert budget.text_padding == pytest.approx(2 / 8)
    tails = count_rows(TextCtcLayout(Inventory(TEXT, 3)), utterances)
    assert tails.tail == 2.0 and tails.padding == 0 and tails.rows == 3.0
    with pytest.raises(ValueError, match="no utterances"):
        count_rows(ParallelLayout(Inventory(TEXT, 3)), [])


def test_equal_arithmetic_means_fewer_epochs_for_longer_rows():
    costs = [training_flops(rows, 1000, 1000) for rows in (10, 40)]
    assert costs == [60000.0, 240000.0]
    assert equal_flops_steps(80, 8, costs[1], costs[0]) == 2  # instead of 10
    assert equal_flops_steps(80, 8, costs[0], costs[1]) == 40
    assert equal_flops_steps(8, 8, 1e9, 1.0) == 1
    assert training_flops(10, 1000, 0) == 40000.0


def test_the_log_tells_what_training_cost():
    cost = read_training_log(LOG)
    assert (cost.trained, cost.total, cost.epochs, cost.steps) == (300, 1000, 2, 126)
    assert cost.seconds == pytest.approx(96.5) and cost.passes == 3.0
    no_sizes = read_training_log(LOG.replace("N-batch", "size"))
    assert no_sizes.passes == 2.0
    assert timespan("2 days, 1 hour") == 2 * 86400 + 3600
    assert read_training_log("nothing") is None


def test_the_table_shows_what_is_there(tmp_path, capsys):
    folder = tmp_path / "taslm_embed"
    (folder / "continuation" / "test").mkdir(parents=True)
    (folder / "train.log").write_text(LOG)
    speed = folder / "continuation" / "test" / "speed.tsv"
    write_rows(speed, ("rows", "seconds"), [(30, 2.0)])
    header = ("design", "rows", "padding_percent")
    rows = [("taslm (text_aligned)", 10.0, 5.0), ("gslm", 40.0, "-")]
    write_rows(tmp_path / "padding.tsv", header, rows)
    command = ["--expdir", str(tmp_path), "--names", "taslm_embed gslm"]
    command += ["--padding", str(tmp_path / "padding.tsv"), "--utterances", "100"]
    budget_table.main([*command, "--output", str(tmp_path / "budgets.tsv")])
    first, second = read_rows(tmp_path / "budgets.tsv")
    assert first["rows_written_per_second"] == "15.0" and first["epochs"] == "2"
    assert first["training_teraflops"] == "0.00" and first["padding_percent"] == "5.0"
    assert set(second.values()) == {"gslm", "40.0", "-"}
    (tmp_path / "gslm").mkdir()
    (tmp_path / "gslm" / "train.log").write_text(LOG)
    budget_table.main([*command, "--output", str(tmp_path / "budgets.tsv")])
    steps = [
        r["equal_flops_steps_an_epoch"] for r in read_rows(tmp_path / "budgets.tsv")
    ]
    assert steps == ["63", "16"]
    (tmp_path / "more").mkdir()
    command[1:4] = [str(tmp_path / "more"), "--names", "../taslm_embed ../gslm"]
    budget_table.main([*command, "--output", str(tmp_path / "more.tsv")])
    again = [row["design"] for row in read_rows(tmp_path / "more.tsv")]
    assert again == ["taslm_embed", "gslm"]
    assert "taslm_embed" in capsys.readouterr().out
    command[-3] = str(tmp_path / "nowhere")
    with pytest.raises(SystemExit, match="budget_table: "):
        budget_table.main(command)
