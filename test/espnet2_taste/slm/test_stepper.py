"""Words and the end of speech from lists of ids."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.slm.layouts.text_aligned import TokenDelayLayout, WordDelayLayout
from espnet2_taste.slm.stepper import GivenText, Stepper, StepperState, StopRules
from espnet2_taste.slm.vocabulary import VocabularyMasks

END, DOG, S, STOP = 0, 1, 2, 3  # the end, a word, the inside of a word, a full stop
MASKS = VocabularyMasks(
    word_start=torch.tensor([False, True, False, False]),
    sentence_end=torch.tensor([False, False, False, True]),
    banned=torch.zeros(4, dtype=torch.bool),
)


def walk(layout, rules, ids, given=None):
    stepper, state, steps = Stepper(layout, rules, MASKS), StepperState(given), []
    for token in ids:
        steps.append(stepper.advance(state, state.take(token)))
        if steps[-1].done:
            break
    return steps


@pytest.mark.parametrize("delay", [0, 1, 2, 3])
def test_every_word_gets_its_code_at_the_end(delay):
    ids = [DOG, S, DOG, DOG, S, S, END, *[DOG] * 5]
    for layout in (WordDelayLayout(delay), TokenDelayLayout(delay)):
        steps = walk(layout, StopRules(END), ids)
        assert len(steps) == 6 + max(1, delay)
        assert [s.emits_text for s in steps] == [True] * 6 + [False] * max(1, delay)
        sampled = [s.due for s in steps if s.due is not None and s.due >= 0]
        assert sampled == [0, 1, 2]
        assert not any(step.reads_text for step in steps[6:])


def test_word_delay_takes_the_open_words_of_the_prompt_first():
    steps = walk(WordDelayLayout(2), StopRules(END), [DOG, S, DOG, DOG, END, END])
    assert [step.due for step in steps] == [-2, None, -1, 0, 1, 2]


def test_token_delay_takes_the_open_rows_of_the_prompt_first():
    steps = walk(TokenDelayLayout(2), StopRules(END), [DOG, S, DOG, END, END])
    assert [step.due for step in steps] == [-2, -1, 0, None, 1]


def test_the_word_after_the_limit_is_not_begun():
    steps = walk(WordDelayLayout(1), StopRules(END, max_words=2), [DOG, DOG, S, DOG, S])
    assert [step.emits_text for step in steps] == [True, True, True, False]
    assert [step.due for step in steps] == [-1, 0, None, 1] and steps[-1].done


def test_a_full_stop_ends_speech_after_enough_words():
    rules = StopRules(END, sentence_end_after=2)
    steps = walk(WordDelayLayout(1), rules, [DOG, STOP, DOG, STOP, DOG, DOG])
    assert len(steps) == 5 and steps[-1].done
    assert [step.emits_text for step in steps] == [True] * 4 + [False]


def test_a_word_without_end_is_cut():
    rules = StopRules(END, max_words=1)
    steps = walk(WordDelayLayout(1), rules, [DOG] + [S] * 100)
    assert len(steps) == rules.max_tokens + 1


def test_the_published_limit_cuts_the_next_word():
    rules = StopRules.published(extra_words=1)
    steps = walk(WordDelayLayout(1), rules, [DOG, DOG, DOG, DOG, S, S])
    assert [step.emits_text for step in steps] == [True, True, True, True, False]
    assert all(step.reads_text for step in steps)


def test_the_published_stop_begins_no_word():
    ids = [DOG, DOG, S]
    published = walk(WordDelayLayout(1), StopRules.published(5, stop_id=S), ids)
    assert published[-1].done and published[-1].due is None
    ours = walk(WordDelayLayout(1), StopRules(S), ids)
    assert ours[-1].done and ours[-1].due == 1


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.sampled_from([DOG, S, STOP]), min_size=1, max_size=20),
    st.integers(1, 3),
    st.sampled_from([WordDelayLayout, TokenDelayLayout]),
)
def test_codes_come_once_a_word_in_order(ids, delay, layout_class):
    steps = walk(layout_class(delay), StopRules(END, max_words=99), [*ids, *[END] * 4])
    words = 1 + sum(token == DOG for token in ids[1:])
    assert sum(step.starts_word for step in steps) == words
    sampled = [s.due for s in steps if s.due is not None and s.due >= 0]
    assert sampled == list(range(words))
    assert steps[-1].done and len(steps) == len(ids) + delay


@pytest.mark.parametrize("delay", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "rules",
    [
        StopRules(END, max_words=1, sentence_end_after=1),
        StopRules.published(1, stop_id=S),
    ],
)
def test_a_given_text_is_written_to_its_end_whatever_is_chosen(delay, rules):
    tokens, word_ids = [S, STOP, DOG, S, DOG, END], [0, 1, 2, 2, 3, 3]
    given = GivenText.of(tokens, word_ids)
    assert given.starts == (True, True, True, False, True, False)
    for layout in (WordDelayLayout(delay), TokenDelayLayout(delay)):
        for chosen in (END, DOG, S):
            steps = walk(layout, rules, [chosen] * 20, given)
            assert len(steps) == 6 + max(1, delay) and steps[-1].done
            written = [step for step in steps if step.emits_text]
            assert written == steps[:6]
            assert [s.starts_word for s in written] == list(given.starts)
            sampled = [s.due for s in steps if s.due is not None and s.due >= 0]
            assert sampled == [0, 1, 2, 3]
            assert not any(step.reads_text for step in steps[6:])


@given(st.lists(st.booleans(), max_size=8))
def test_words_of_a_given_text_begin_where_their_number_changes(starts):
    starts = [True, *starts]
    word_ids = [sum(starts[: n + 1]) - 1 for n in range(len(starts))]
    assert GivenText.of([DOG] * len(starts), word_ids).starts == tuple(starts)


def test_impossible_rules_are_refused():
    with pytest.raises(ValueError, match="min_words <= max_words"):
        StopRules(END, max_words=2, min_words=3)
