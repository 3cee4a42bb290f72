"""What is given to be continued becomes the prompt that it names."""

import numpy as np
import pytest
import torch

from espnet2_taste.slm import prompt_sets, prompts
from espnet2_taste.slm.beginnings import (
    NoBeginning,
    SpokenBeginning,
    SpokenTurn,
    WrittenBeginning,
    chat_frame,
)
from espnet2_taste.structures import WordCodes
from espnet2_taste.text.preprocessor import TaslmPreprocessor

TEMPLATE = (
    "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}[end]{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
SPOKEN = WordCodes(("the", "red", "dog"), np.arange(6).reshape(3, 2))


@pytest.fixture
def preprocessor(lm_tokenizer_dir):
    return TaslmPreprocessor(str(lm_tokenizer_dir))


def test_spoken_words_keep_their_codes(preprocessor):
    found = SpokenBeginning(SPOKEN).first(2).prompt("utt", preprocessor)
    assert isinstance(found, prompts.AudioPrompt)
    assert found.codes.tolist() == [[0, 1], [2, 3]]
    assert int(found.word_ids[-1]) == 1


def test_written_words_are_tokenised_as_spoken_ones(preprocessor):
    spoken = SpokenBeginning(SPOKEN).prompt("utt", preprocessor)
    found = WrittenBeginning(SPOKEN.words).prompt("utt", preprocessor, True)
    assert isinstance(found, prompts.TextPrompt) and found.reference_compat
    assert torch.equal(found.text, spoken.text)
    with pytest.raises(ValueError, match="'utt': empty text"):
        WrittenBeginning(()).prompt("utt", preprocessor)


def test_nothing_begins_with_a_word(preprocessor):
    found = NoBeginning().first(3).prompt("utt", preprocessor)
    assert found == prompts.UnconditionalPrompt(starts_word=True)


def test_turns_stand_in_their_frame(preprocessor):
    tokenizer = preprocessor.tokenizer.tokenizer
    bos = preprocessor.tokenizer.special_id("bos")
    turn = SpokenTurn(SPOKEN, ("[user]", "[end]"))
    found = turn.prompt("utt", preprocessor)
    assert tokenizer.decode(found.prefix[1:]) == "[user]"
    assert int(found.prefix[0]) == bos
    assert tokenizer.decode(found.suffix) == "[end]"
    spoken = SpokenBeginning(SPOKEN).prompt("utt", preprocessor)
    assert torch.equal(found.spoken.text, spoken.text)
    given = SpokenTurn(SPOKEN, (tokenizer.convert_ids_to_tokens(bos) + "[user]", ""))
    again = given.prompt("utt", preprocessor)
    assert torch.equal(again.prefix, found.prefix) and len(again.suffix) == 0


def test_the_frame_is_that_of_the_chat_template(preprocessor):
    tokenizer = preprocessor.tokenizer.tokenizer
    with pytest.raises(RuntimeError, match="no chat template.*--turn_frame"):
        SpokenTurn(SPOKEN).prompt("utt", preprocessor)
    tokenizer.chat_template = TEMPLATE
    assert chat_frame(tokenizer) == ("[user]", "[end][assistant]")
    tokenizer.chat_template = TEMPLATE.replace("content'] }}", "content'] | lower }}")
    with pytest.raises(RuntimeError, match="changes what is said"):
        chat_frame(tokenizer)


def test_voices_come_in_turn_where_none_is_known():
    found = prompt_sets.voices_in_turn({"b": 2, "a": 1}, ["x", "a", "y", "z"])
    assert found == {"x": 1, "a": 1, "y": 2, "z": 1}


def test_the_words_of_a_prompt_have_a_default_of_their_kind():
    kinds = prompt_sets.PROMPT_KINDS
    words = {name: kind().words for name, kind in kinds.items()}
    assert words == {"audio": 4, "text": 0, "unconditional": 0, "instruct": 0}
    assert all(kind(3).words == 3 for kind in kinds.values())
    assert all(kind.folders[-1] == "." for kind in kinds.values())
