"""What is given to be continued becomes the prompt that it names."""

import numpy as np
import pytest
import torch
from tiny_models import tiny_spoken_lm, write_taslm_parts

from espnet2_taste.slm import prompts
from espnet2_taste.slm.prompt_specs import (
    EmptyPrompt,
    SpokenPrompt,
    SpokenTurn,
    WrittenPrompt,
)
from espnet2_taste.slm.turns import chat_frame
from espnet2_taste.structures import WordCodes

TEMPLATE = (
    "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}[end]{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
SPOKEN = WordCodes(("the", "red", "dog"), np.arange(6).reshape(3, 2))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory, lm_tokenizer_dir):
    parts = write_taslm_parts(tmp_path_factory.mktemp("specs"), lm_tokenizer_dir)
    model, preprocessor = tiny_spoken_lm(*parts)
    return model.core, preprocessor


def rows_of(spec, loaded, **options):
    with torch.no_grad():
        return spec.rows(*loaded, "utt", **options)


def assert_same(found, wanted):
    assert found.state == wanted.state
    for name in ("inputs", "text", "current", "pending"):
        torch.testing.assert_close(getattr(found, name), getattr(wanted, name))


@torch.no_grad()
def test_spoken_words_keep_their_codes(loaded):
    core, preprocessor = loaded
    found = rows_of(SpokenPrompt(SPOKEN).first(2), loaded)
    given = preprocessor.reader("utt", SPOKEN.first(2).fields)
    assert_same(found, prompts.spoken_prompt(core, given))
    assert found.current.tolist() == [0, 1] and found.pending.tolist() == [[2, 3]]


@torch.no_grad()
def test_written_words_are_tokenised_as_spoken_ones(loaded):
    spoken = rows_of(SpokenPrompt(SPOKEN), loaded)
    found = rows_of(WrittenPrompt(SPOKEN.words), loaded, reference_compat=True)
    assert_same(found, prompts.written_prompt(loaded[0], spoken.text.tolist(), True))
    with pytest.raises(ValueError, match="'utt': empty text"):
        rows_of(WrittenPrompt(()), loaded)


@torch.no_grad()
def test_nothing_begins_with_a_word(loaded):
    found = rows_of(EmptyPrompt().first(3), loaded)
    assert_same(found, prompts.empty_prompt(loaded[0], starts_word=True))


def test_turns_stand_in_their_frame(loaded):
    core, preprocessor = loaded
    tokenizer = preprocessor.reader.tokenizer.tokenizer
    found = rows_of(SpokenTurn(SPOKEN, ("[user]", "[end]")), loaded)
    spoken = rows_of(SpokenPrompt(SPOKEN), loaded).text.tolist()
    before, after = (
        tokenizer.encode(text, add_special_tokens=False) for text in ("[user]", "[end]")
    )
    assert found.text.tolist() == [core.bos_id, *before, *spoken, *after]
    marked = tokenizer.convert_ids_to_tokens(core.bos_id) + "[user]"
    again = rows_of(SpokenTurn(SPOKEN, (marked, "")), loaded)
    assert again.text.tolist() == [core.bos_id, *before, *spoken]


def test_the_frame_is_that_of_the_chat_template(loaded, monkeypatch):
    tokenizer = loaded[1].reader.tokenizer.tokenizer
    with pytest.raises(RuntimeError, match="no chat template.*--turn_frame"):
        rows_of(SpokenTurn(SPOKEN), loaded)
    monkeypatch.setattr(tokenizer, "chat_template", TEMPLATE)
    assert chat_frame(tokenizer) == ("[user]", "[end][assistant]")
    other = TEMPLATE.replace("content'] }}", "content'] | lower }}")
    monkeypatch.setattr(tokenizer, "chat_template", other)
    with pytest.raises(RuntimeError, match="changes what is said"):
        chat_frame(tokenizer)
