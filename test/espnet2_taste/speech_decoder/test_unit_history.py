"""Writing units: cached steps, the window of a unit, hidden units in training."""

import pytest
import torch

from espnet2_taste.speech_decoder.unit_history import CausalHistory, OnePass
from espnet2_taste.speech_decoder.unit_sampling import (
    ArgmaxSampler,
    TopKSampler,
    UtteranceNoise,
)

UNITS, SIZE = 7, 6


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


@pytest.mark.parametrize("sampler", [ArgmaxSampler(), TopKSampler(5)])
@pytest.mark.parametrize("history", [CausalHistory, OnePass])
def test_a_batch_generates_what_its_utterances_do(history, sampler):
    model, (rows, valid, _) = build(history), inputs()
    units = model.generate(rows, valid, sampler, noise())
    for row, (name, length) in enumerate(zip("ab", [6, 9])):
        part = slice(row, row + 1), slice(0, length)
        alone = model.generate(rows[part], valid[part], sampler, noise([name]))
        assert units[row, :length].tolist() == alone[0].tolist()
        assert units.max() < UNITS


@pytest.mark.parametrize("sampler", [ArgmaxSampler(), TopKSampler(5)])
@pytest.mark.parametrize("history", [CausalHistory, OnePass])
@pytest.mark.parametrize("size", [1, 4, 12])
def test_units_written_in_pieces_are_those_of_the_whole(history, sampler, size):
    model, (rows, valid, _) = build(history), inputs((12, 12))
    whole = model.generate(rows, valid, sampler, noise())
    written, numbers, pieces = model.start(rows), noise(), []
    for begin in range(0, 12, size):
        first = max(0, begin - model.before)
        part = slice(first, begin + size + model.after)
        place = slice(begin - first, begin - first + size)
        found = (rows[:, part], valid[:, part], place, written, sampler, numbers)
        pieces.append(model.write(*found))
    assert torch.equal(torch.cat(pieces, dim=1), whole)


def test_generation_equals_argmax_of_uncached_scores():
    model, (rows, valid, _) = build(CausalHistory), inputs()
    units = model.generate(rows, valid, ArgmaxSampler(), noise())
    best = model(rows, valid, units).argmax(-1)
    assert torch.equal(best[valid], units[valid])


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
