"""Turns with answers: training reads what generation reads, and answers alone count."""

import numpy as np
import pytest
import torch
from espnet2.train.collate_fn import CommonCollateFn
from tiny_models import tiny_spoken_lm, write_taslm_parts

from espnet2_taste.slm.grid_data import GridPreprocessor
from espnet2_taste.slm.prompt_specs import SpokenTurn
from espnet2_taste.slm.turns import TurnFrame, turn_rows
from espnet2_taste.structures import WordCodes

SPOKEN = {"a": ("the red dog runs", 1), "b": ("the dog runs home", 3)}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, lm_tokenizer_dir):
    parts = write_taslm_parts(tmp_path_factory.mktemp("turns"), lm_tokenizer_dir)
    model, preprocessor = tiny_spoken_lm(*parts)
    frame = TurnFrame.of(preprocessor.tokenizer, ("the", "dog"))
    model.core.turn_frame = frame
    model.kl_weight = 0.0
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
    batch = batch_of(preprocessor, "ab")
    for name, rows in zip("ab", turn_rows(model.core, batch)):
        text, count = SPOKEN[name]
        words = WordCodes(tuple(text.split()), codes_of(text)).first(count)
        wanted = SpokenTurn(words).rows(model.core, preprocessor, name)
        torch.testing.assert_close(rows, wanted.inputs)


@torch.no_grad()
def test_states_are_those_behind_the_turn_whatever_the_padding(loaded):
    model, preprocessor = loaded
    core, batch = model.core, batch_of(preprocessor, "ab")
    output = core.read(batch)
    turns = turn_rows(core, batch)
    for row, name in enumerate("ab"):
        own = batch_of(preprocessor, name)
        inputs = core.inputs(core.read(own).grid, own["codes"])
        whole = torch.cat([turns[row][None], inputs[:, 1:]], dim=1)
        first, count = len(turns[row]) - 1, int(own["text_lengths"]) + 1
        wanted = core.backbone(whole).last[0, first : first + count]
        found = output.text_states[row, :count]
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)


def test_answers_alone_have_targets_but_turns_have_a_gradient(loaded):
    model, preprocessor = loaded
    output = model.core.read(batch_of(preprocessor, "ab"))
    words = [len(text.split()) - count for text, count in SPOKEN.values()]
    assert output.word_mask.sum(1).tolist() == words
    tokens = batch_of(preprocessor, "ab")["text_lengths"] + 1  # and the end
    assert ((output.text_labels >= 0).sum(1) == tokens).all()
    torch.manual_seed(0)
    loss, _, _ = model(**batch_of(preprocessor, "ab"))
    torch.manual_seed(0)
    other, _, _ = model(**batch_of(preprocessor, "ab", shift=1))
    assert torch.isfinite(loss) and loss != other
    loss.backward()
    assert model.core.pad_text.grad.abs().sum() > 0


def test_what_cannot_be_answered_is_refused(loaded, monkeypatch):
    model, preprocessor = loaded
    batch, text = batch_of(preprocessor, "a"), SPOKEN["a"][0]
    for count in (0, 4):
        data = {"text": text, "codes": codes_of(text), "turn_words": [count]}
        with pytest.raises(ValueError, match=f"'a': {count} words of 4 are a turn"):
            preprocessor("a", data)
    with pytest.raises(ValueError, match="kl_weight is 0.5"):
        model.core.losses(batch, 0.5, None)
    with pytest.raises(ValueError, match="text_aligned layouts only"):
        GridPreprocessor(None, None, True)("a", {"turn_words": [1]})
    monkeypatch.setattr(model.core, "turn_frame", None)
    with pytest.raises(RuntimeError, match="give --turn_frame"):
        model.core.read(batch)
