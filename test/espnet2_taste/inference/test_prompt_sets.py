"""Kinds of prompts of a recipe's sets: their words, their voices."""

from espnet2_taste.inference import prompt_sets


def test_voices_come_in_turn_where_none_is_known():
    found = prompt_sets.voices_in_turn({"b": 2, "a": 1}, ["x", "a", "y", "z"])
    assert found == {"x": 1, "a": 1, "y": 2, "z": 1}


def test_the_words_of_a_prompt_have_a_default_of_their_kind():
    kinds = prompt_sets.PROMPT_KINDS
    words = {kind: prompt_sets.PromptSet(kind).words for kind in kinds}
    assert words == {"audio": 4, "text": 0, "unconditional": 0, "instruct": 0}
    assert all(prompt_sets.PromptSet(kind, 3).words == 3 for kind in kinds)
    assert all(folders[-1] == "." for folders in kinds.values())
