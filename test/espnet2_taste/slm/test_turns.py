"""Turns with answers: training reads what generation reads, and answers alone count."""

import numpy as np
import pytest
import torch
from espnet2.train.collate_fn import CommonCollateFn
from tiny_models import tiny_spoken_lm, write_taslm_parts

from espnet2_taste.slm.grid_data import GridPreprocessor
from espnet2_taste.slm.layouts.text_aligned import NOTHING
from espnet2_taste.slm.layouts.unit import UnitLayout
from espnet2_taste.slm.prompt_specs import SpokenTurn
from espnet2_taste.slm.scoring import utterance_scores
from espnet2_taste.structures import WordCodes

SPOKEN = {"a": ("the red dog runs", 1), "b": ("the dog runs home", 3)}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, lm_tokenizer_dir):
    parts = write_taslm_parts(tmp_path_factory.mktemp("turns"), lm_tokenizer_dir)
    model, preprocessor = tiny_spoken_lm(*parts, turn_frame=["the", "dog"])
    return model.eval(), preprocessor


def codes_of(text, shift=0):
    return (np.arange(2 * len(text.split())).reshape(-1, 2) + shift) % 3


def fields(preprocessor, name, shift=0):
    text, count = SPOKEN[name]
    data = {"text": text, "codes": codes_of(text).astype(np.float32)}
    data["codes"][:count] = codes_of(text, shift)[:count]
    return preprocessor(name, {**data, "turn_words": np.array([count])})


def batch_of(preprocessor, names, shift=0):
    rows = [(name, fields(preprocessor, name, shift)) for name in names]
    return CommonCollateFn(float_pad_value=0.0, int_pad_value=-1)(rows)[1]


@torch.no_grad()
def test_training_reads_turns_as_generation_does(loaded):
    model, preprocessor = loaded
    core, batch = model.core, batch_of(preprocessor, "ab")
    rows = core.rows(batch["grid"])
    for row, name in zip(rows, "ab"):
        text, count = SPOKEN[name]
        words = WordCodes(tuple(text.split()), codes_of(text)).first(count)
        wanted = SpokenTurn(words).rows(core, preprocessor, name).inputs
        torch.testing.assert_close(row[: len(wanted)], wanted)


@torch.no_grad()
def test_answers_are_read_as_if_no_word_had_come_before(loaded):
    core, preprocessor = loaded[0].core, loaded[1]
    for name in "ab":
        text, count = SPOKEN[name]
        turn = SpokenTurn(WordCodes(tuple(text.split()), codes_of(text)).first(count))
        first = len(turn.rows(core, preprocessor, name).inputs)
        alone = {
            "text": " ".join(text.split()[count:]),
            "codes": codes_of(text)[count:],
        }
        _, answer = CommonCollateFn(0.0, -1)([(name, preprocessor(name, alone))])
        found = core.rows(batch_of(preprocessor, name)["grid"])[:, first:]
        torch.testing.assert_close(found, core.rows(answer["grid"])[:, 1:])


@torch.no_grad()
def test_the_end_of_text_is_a_token_around_turns_alone(loaded):
    core = loaded[0].core
    rows = torch.tensor([[core.eos_id, NOTHING, NOTHING], [core.eos_id, -1, -1]])
    (written, end), rows = core.embedding.cells(rows, core.backbone)[0], core.embedding
    torch.testing.assert_close(written, core.backbone.embed(torch.tensor(core.eos_id)))
    torch.testing.assert_close(end, rows.pad_text)


def test_answers_alone_have_targets_but_turns_have_a_gradient(loaded):
    model, preprocessor = loaded
    core, batch = model.core, batch_of(preprocessor, "ab")
    _, codes, mask = core.predicted_codes(batch, core.read(batch["grid"]))
    assert mask.sum(1).tolist() == [
        len(text.split()) - count for text, count in SPOKEN.values()
    ]
    tokens = [len(preprocessor.reader(n, answer(n)).tokens) + 1 for n in "ab"]
    assert (batch["weights"][..., 0] > 0).sum(1).tolist() == tokens  # and the end
    torch.manual_seed(0)
    loss, _, _ = model(**batch)
    torch.manual_seed(0)
    other, _, _ = model(**batch_of(preprocessor, "ab", shift=1))
    assert torch.isfinite(loss) and loss != other
    loss.backward()
    assert core.embedding.pad_text.grad.abs().sum() > 0


def answer(name):
    text, count = SPOKEN[name]
    return {"text": " ".join(text.split()[count:])}


def test_the_base_lm_reads_turns_and_is_compared_in_answers(loaded, monkeypatch):
    model, preprocessor = loaded
    read, base_states = [], model.core.base_states
    monkeypatch.setattr(
        model.core, "base_states", lambda text: read.append(text) or base_states(text)
    )
    model(**batch_of(preprocessor, "a"))
    frame, turn = preprocessor.turn_frame, {"text": SPOKEN["a"][0].split()[0]}
    said = [preprocessor.reader("a", each).tokens for each in (turn, answer("a"))]
    assert read[0][0].tolist() == [*frame[0][1:], *said[0], *frame[1], *said[1]]


@pytest.mark.parametrize("published", [False, True])
def test_answers_alone_are_scored_and_learnt(loaded, monkeypatch, published):
    core, preprocessor = loaded[0].core, loaded[1]
    monkeypatch.setattr(core.layout, "reference_compat", published)
    batch = batch_of(preprocessor, "ab")
    before = (batch["padding"] == 1).all(dim=-1).cummin(dim=1).values
    assert (before.sum(dim=1) > 4).all()
    scores = utterance_scores(core, batch)
    assert not scores.text_mask[before].any()
    assert not scores.base.text[before].any()
    answers = [len(preprocessor.reader(n, answer(n)).tokens) for n in "ab"]
    assert scores.base.tokens.sum(dim=1).tolist() == answers
    cells = core.text_cells(batch, core.read(batch["grid"]))
    assert not cells.weights[before].any()
    assert torch.equal(cells.labels[before], batch["grid"][..., 0][before])


def test_what_cannot_be_answered_is_refused(loaded):
    preprocessor, text = loaded[1], SPOKEN["a"][0]
    for count in (0, 4):
        data = {"text": text, "codes": codes_of(text), "turn_words": [count]}
        with pytest.raises(ValueError, match=f"'a': {count} words of 4 are a turn"):
            preprocessor("a", data)
    reader, layout = preprocessor.reader, preprocessor.layout
    with pytest.raises(ValueError, match="text_aligned layouts only"):
        units = UnitLayout(layout.inventory)
        GridPreprocessor(reader, units, True)("a", {"turn_words": [1]})
    data["turn_words"] = [1]
    with pytest.raises(RuntimeError, match="--turn_frame"):
        GridPreprocessor(reader, layout, True)("a", data)
