"""Writing units: cached steps, the window of a unit, hidden units in training."""

from dataclasses import replace

import pytest
import torch

from espnet2_taste.speech_decoder.abs_unit_decoder import UnitSettings
from espnet2_taste.speech_decoder.unit_history import CausalHistory, OnePass
from espnet2_taste.speech_decoder.unit_sampling import (
    ArgmaxSampler,
    TopKSampler,
    UtteranceNoise,
)

UNITS, SIZE = 7, 6
ARGMAX, SAMPLED = UnitSettings(ArgmaxSampler()), UnitSettings(TopKSampler(5))
MIXED = [
    UnitSettings(ArgmaxSampler(), mixing=0.5),
    UnitSettings(TopKSampler(5), mixing=2.0),
]


def build(history):
    torch.manual_seed(0)
    return history(UNITS, SIZE, num_blocks=2, kernel_size=3).eval()


def inputs(lengths=(6, 9)):
    torch.manual_seed(1)
    valid = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    rows = torch.randn(len(lengths), max(lengths), SIZE) * valid.unsqueeze(-1)
    return rows, valid, torch.randint(0, UNITS, valid.shape)


def noise(names=("a", "b")):
    return UtteranceNoise.from_ids(names, 0)


@pytest.mark.parametrize("settings", [ARGMAX, SAMPLED, *MIXED])
@pytest.mark.parametrize("history", [CausalHistory, OnePass])
def test_a_batch_generates_what_its_utterances_do(history, settings):
    model, (rows, valid, _) = build(history), inputs()
    units, mixture = model.generate(rows, valid, settings, noise())
    assert units.max() < UNITS and (mixture is None) == (settings.mixing == 0)
    for row, (name, length) in enumerate(zip("ab", [6, 9])):
        part = slice(row, row + 1), slice(0, length)
        one, shares = model.generate(rows[part], valid[part], settings, noise([name]))
        assert units[row, :length].tolist() == one[0].tolist()
        if mixture is not None:
            assert torch.allclose(mixture[row, :length], shares[0], atol=1e-6)


@pytest.mark.parametrize("settings", [ARGMAX, SAMPLED, *MIXED])
@pytest.mark.parametrize("history", [CausalHistory, OnePass])
@pytest.mark.parametrize("size", [1, 4, 12])
def test_units_written_in_pieces_are_those_of_the_whole(history, settings, size):
    model, (rows, valid, _) = build(history), inputs((12, 12))
    whole, mixture = model.generate(rows, valid, settings, noise())
    written, numbers, pieces = model.start(rows), noise(), []
    for begin in range(0, 12, size):
        first = max(0, begin - model.before)
        part = slice(first, begin + size + model.after)
        place = slice(begin - first, begin - first + size)
        found = (rows[:, part], valid[:, part], place, written, settings, numbers)
        pieces.append(model.write(*found))
    units, shares = zip(*pieces)
    assert torch.equal(torch.cat(units, dim=1), whole)
    if mixture is not None:
        assert torch.allclose(torch.cat(shares, dim=1), mixture, atol=1e-6)


@pytest.mark.parametrize("history", [CausalHistory, OnePass])
def test_generation_is_the_argmax_and_mixture_of_uncached_scores(history):
    model, (rows, valid, _) = build(history), inputs()
    units, mixture = model.generate(rows, valid, MIXED[0], noise())
    logits = model(rows, valid, units)
    assert torch.equal(logits.argmax(-1)[valid], units[valid])
    shares = (logits / 0.5).softmax(-1)
    assert torch.allclose(mixture[valid], shares[valid], atol=1e-6)


@pytest.mark.parametrize("settings", [ARGMAX, SAMPLED])
@pytest.mark.parametrize("history", [CausalHistory, OnePass])
def test_mixing_changes_no_chosen_unit(history, settings):
    model, (rows, valid, _) = build(history), inputs()
    units, _ = model.generate(rows, valid, settings, noise())
    mixed = replace(settings, mixing=0.7)
    assert torch.equal(model.generate(rows, valid, mixed, noise())[0], units)


def test_a_unit_changes_those_of_its_window_only():
    model, (rows, valid, units) = build(CausalHistory), inputs((12,))
    other = units.clone()
    other[0, 2] = (other[0, 2] + 1) % UNITS
    moved = (model(rows, valid, units) != model(rows, valid, other)).any(-1)[0]
    assert moved.nonzero().squeeze(1).tolist() == [3, 4, 5, 6, 7]


def test_one_pass_reads_no_units():
    model, (rows, valid, units) = build(OnePass), inputs()
    assert torch.equal(model(rows, valid, units), model(rows, valid, units * 0))


def test_units_before_are_hidden_in_training():
    model, (rows, valid, units) = build(CausalHistory), inputs()
    model.unit_dropout = 1.0
    model.train()
    assert torch.equal(model(rows, valid, units), model(rows, valid, units * 0))
    hidden = units.masked_fill(valid, UNITS)
    model.eval()
    assert not torch.equal(model(rows, valid, units), model(rows, valid, hidden))
