"""The cost sheet names every stage, follows its corpus, and is the README's."""

from importlib import util
from pathlib import Path

import pytest

RECIPE = Path(__file__).resolve().parents[2] / "egs2/libritts/taslm1"


@pytest.fixture
def sheet():
    spec = util.spec_from_file_location("cost_sheet", RECIPE / "local/cost_sheet.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_shows_what_the_command_prints(sheet, capsys):
    sheet.main([])
    assert capsys.readouterr().out in (RECIPE / "README.md").read_text()


@pytest.fixture
def gpu(sheet):
    return sheet.Gpu(2e14, 2e12)


def test_every_stage_to_the_packed_models_has_a_row(sheet, gpu):
    names = [row[0] for row in sheet.stages(sheet.Corpus(1, 100), gpu)]
    numbers = {int(n) for name in names for n in name.split(" ")[0:2] if n.isdigit()}
    numbers |= {13} if any(name.startswith("13, 14") for name in names) else set()
    assert numbers == set(range(1, 15))


def test_twice_the_corpus_costs_twice_the_work_and_its_test_set_the_same(sheet, gpu):
    one, two = (sheet.stages(sheet.Corpus(n, 600 * n), gpu) for n in (10, 20))
    for first, second in zip(one, two, strict=True):
        fixed = "test set" in first[0] or first[0].startswith("13")
        for cost, double in zip(first[1:3], second[1:3]):
            assert double == pytest.approx(cost if fixed else 2 * cost)


def test_stages_that_compute_cost_something(sheet, gpu):
    costs = [row[1] + row[2] for row in sheet.stages(sheet.Corpus(1, 100), gpu)]
    assert all(costs)


def test_writing_reads_all_weights_once_a_step_of_a_batch(sheet):
    steps, parameters, bandwidth = 1000 * sheet.BATCH, 5e6, 4e6
    seconds = sheet.Gpu(1.0, bandwidth).writing(steps, parameters)
    assert seconds == pytest.approx(1000 * 4 * parameters / bandwidth)


def test_an_epoch_of_no_vq_is_mostly_the_encoder(sheet):
    """30 s of Whisper large: 2 x 637 M x 1500 positions and attention, .4 of 2.3 T."""
    corpus = sheet.Corpus(1, 1)
    assert corpus.encoder == pytest.approx(2.28e12, rel=0.01)
