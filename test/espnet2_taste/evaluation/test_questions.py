"""Spoken questions: containment, clozes and their accepted endings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.data.ctm import write_rows
from espnet2_taste.evaluation.questions import (
    HEADER,
    answer_words,
    cut_cloze,
    holds,
    read_answers,
    related_endings,
    score_answers,
)

WORDS = st.lists(st.sampled_from(["red", "dog", "cow", "redder"]), max_size=6)


def holds_slowly(said, answer):
    spans = range(len(said) - len(answer) + 1)
    return any(said[i : i + len(answer)] == answer for i in spans)


@given(WORDS, WORDS.filter(bool))
def test_an_answer_is_held_word_for_word(said, answer):
    assert holds(said, [answer]) == holds_slowly(said, answer)


def test_normalisation_forgives_writing_but_not_words():
    assert holds(answer_words("It is THE Nile."), [answer_words("the Nile")])
    assert not holds(answer_words("redder"), [answer_words("red")])
    assert not holds(answer_words("anything"), [answer_words("the")])


def test_scores_with_chance_beside_them():
    answers = {"q1": ["Nile", "the river Nile"], "q2": ["seven"], "q3": ["rose"]}
    said = {"q1": "it is the nile", "q2": "a rose and the nile", "q3": ""}
    score, right = score_answers(answers, said)
    assert right == {"q1": True, "q2": False, "q3": False}
    assert (score["questions"], score["right"], score["silent"]) == (3, 1, 1)
    assert score["accuracy"] == pytest.approx(1 / 3)
    assert score["by_chance"] == pytest.approx(2 / 6)
    assert score["low"] <= score["accuracy"] <= score["high"]
    with pytest.raises(ValueError, match="no question"):
        score_answers({}, said)


@given(st.dictionaries(st.sampled_from("abcdef"), WORDS))
def test_scores_equal_a_loop(said):
    answers = {"a": ["red dog"], "b": ["cow", "dog"], "c": ["redder"]}
    texts = {name: " ".join(words) for name, words in said.items()}
    score, right = score_answers(answers, texts)
    for name, accepted in answers.items():
        words = said.get(name, [])
        assert right[name] == any(holds_slowly(words, a.split()) for a in accepted)
    assert score["right"] == sum(right.values())


def test_answers_are_read_with_their_alternatives(tmp_path):
    path = tmp_path / "answers.tsv"
    write_rows(path, HEADER, [("q1", "Nile"), ("q2", "7"), ("q1", "river Nile")])
    assert read_answers(path) == {"q1": ["Nile", "river Nile"], "q2": ["7"]}
    write_rows(path, HEADER, [("q1", "the")])
    with pytest.raises(ValueError, match="line 2: question 'q1'.*in words"):
        read_answers(path)
    write_rows(path, ("utt", "text"), [("q1", "a")])
    with pytest.raises(ValueError, match="columns utt, answer"):
        read_answers(path)


def test_a_cloze_ends_before_what_agrees_with_its_ending():
    first, second = "he rules an island".split(), "he rules a ship".split()
    assert cut_cloze("u", first, second) == (2, 3)
    first, second = "he has tea today".split(), "he has mud today".split()
    assert cut_cloze("u", first, second) == (2, 2)
    for other in ("he rules", "she rules", "he rules on"):
        with pytest.raises(ValueError, match="'u': expected two sentences"):
            cut_cloze("u", "he rules".split(), other.split())


@given(WORDS, WORDS, WORDS, WORDS)
def test_a_cloze_begins_as_both_do(head, first, second, tail):
    positive, negative = head + first + tail, head + second + tail
    try:
        count, end = cut_cloze("u", positive, negative)
    except ValueError:
        return
    assert positive[:count] == negative[:count] and count <= end
    assert positive[end + 1 :] == negative[len(negative) - len(positive) + end + 1 :]
    assert count == len(negative) or positive[count] != negative[count]


def test_endings_of_one_sentence_stand_for_each_other():
    sentences = ["the rose and a tulip".split(), "a ship".split()]
    related = related_endings(["rose", "tulip", "ship"], sentences)
    assert related["rose"] == {"rose", "tulip"} and related["ship"] == {"ship"}
