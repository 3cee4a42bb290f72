"""Words, their codes and the end of speech from lists of ids."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.slm.layouts.abs_layout import HOLE, run_grammar
from espnet2_taste.slm.layouts.streams import END as END_KIND
from espnet2_taste.slm.layouts.streams import Inventory, TextVocabulary
from espnet2_taste.slm.layouts.text_aligned import TokenDelayLayout, WordDelayLayout
from espnet2_taste.slm.layouts.word_grammar import (
    CODES,
    PublishedGrammar,
    WordGrammar,
    WordState,
)
from espnet2_taste.slm.limits import Amount, LimitKeeper, Limits
from espnet2_taste.slm.prompts import PromptRows
from espnet2_taste.slm.vocabulary import VocabularyMasks

END, DOG, S, STOP = 0, 1, 2, 3  # the end, a word, the inside of a word, a full stop
MASKS = VocabularyMasks(
    word_start=torch.tensor([False, True, False, False]),
    sentence_end=torch.tensor([False, False, False, True]),
    banned=torch.zeros(4, dtype=torch.bool),
)
TEXT = TextVocabulary.of(MASKS, (), END)
INVENTORY = Inventory(TEXT, 0)


def walk(grammar, ids, limits=None, state=WordState()):
    """Rows of tokens as generation writes them, and the state after each."""
    text, codes = grammar.streams
    keeper = LimitKeeper(grammar, limits or Limits(max_words=99))
    states, rows, amount = [], [], Amount()
    for token in ids:
        allowed = grammar.allowed(state, []).banning(keeper.banned(amount, text))
        token = keeper.within(amount, text, allowed, token)
        if not text.has(allowed, token):
            token = END
        cells = grammar.allowed(state, [token])
        rows.append([token, int(np.flatnonzero(codes.mask(cells))[0])])
        state = grammar.advance(state, rows[-1])
        keeper.add(amount, [HOLE, HOLE], rows[-1])
        states.append(state)
        if grammar.final(state):
            break
    return rows, states


def dues(grammar, states):
    return [grammar.due(state) for state in states]


def sampled(grammar, states):
    return [due for due in dues(grammar, states) if due is not None and due >= 0]


@pytest.mark.parametrize("delay", [0, 1, 2, 3])
def test_every_word_gets_its_code_at_the_end(delay):
    ids = [DOG, S, DOG, DOG, S, S, END, *[DOG] * 5]
    for layout in (
        WordDelayLayout(INVENTORY, delay),
        TokenDelayLayout(INVENTORY, delay),
    ):
        grammar = WordGrammar(layout, TEXT)
        rows, states = walk(grammar, ids)
        assert [token for token, _ in rows] == ids[:6] + [END] * max(1, delay)
        assert sampled(grammar, states) == [0, 1, 2]
        codes = grammar.streams[1]
        assert sum(codes.is_kind(CODES, cell) for _, cell in rows) == 3


def test_word_delay_takes_the_open_words_of_the_prompt_first():
    grammar = WordGrammar(WordDelayLayout(INVENTORY, 2), TEXT)
    _, states = walk(grammar, [DOG, S, DOG, DOG, END, END])
    assert dues(grammar, states) == [-2, None, -1, 0, 1, 2]


def test_token_delay_takes_the_open_rows_of_the_prompt_first():
    grammar = WordGrammar(TokenDelayLayout(INVENTORY, 2), TEXT)
    _, states = walk(grammar, [DOG, S, DOG, END, END])
    assert dues(grammar, states) == [-2, -1, 0, None, 1]


def test_the_word_after_the_limit_is_not_begun():
    grammar = WordGrammar(WordDelayLayout(INVENTORY, 1), TEXT)
    rows, states = walk(grammar, [DOG, DOG, S, DOG, S], Limits(max_words=2))
    assert [token for token, _ in rows] == [DOG, DOG, S, END]
    assert dues(grammar, states) == [-1, 0, None, 1]
    assert grammar.final(states[-1])


def test_a_full_stop_ends_speech_after_enough_words():
    limits = Limits(max_words=99, sentence_end_after=2)
    ids = [DOG, STOP, DOG, STOP, DOG, DOG]
    rows, states = walk(WordGrammar(WordDelayLayout(INVENTORY, 1), TEXT), ids, limits)
    assert [token for token, _ in rows] == [DOG, STOP, DOG, STOP, END]
    assert states[-1].drained == 1


def test_a_word_without_end_is_cut():
    limits = Limits(max_words=1)
    rows, _ = walk(
        WordGrammar(WordDelayLayout(INVENTORY, 1), TEXT), [DOG] + [S] * 100, limits
    )
    assert len(rows) == limits.max_tokens + 1 and rows[-1][0] == END


def test_the_published_limit_cuts_the_next_word():
    grammar = PublishedGrammar(WordDelayLayout(INVENTORY, 1), TEXT, 1)
    rows, states = walk(grammar, [DOG, DOG, DOG, DOG, S, S])
    assert [token for token, _ in rows] == [DOG, DOG, DOG, DOG, S]
    assert [state.drained for state in states] == [0, 0, 0, 0, 1]
    assert grammar.final(states[-1]) and not grammar.pads_text


def test_the_published_full_stop_ends_speech_after_words_before_it():
    grammar = PublishedGrammar(WordDelayLayout(INVENTORY, 1), TEXT, 2)
    rows, _ = walk(grammar, [DOG, STOP, DOG, STOP, S, S])
    assert [token for token, _ in rows] == [DOG, STOP, DOG, STOP, S]


def test_the_published_stop_begins_no_word():
    ids = [DOG, DOG, S]
    published = PublishedGrammar(WordDelayLayout(INVENTORY, 1), TEXT, 5, stop_id=S)
    _, states = walk(published, ids)
    assert published.final(states[-1]) and published.due(states[-1]) is None
    ours = WordGrammar(WordDelayLayout(INVENTORY, 1), TextVocabulary.of(MASKS, (), S))
    _, states = walk(ours, ids)
    assert ours.final(states[-1]) and ours.due(states[-1]) == 1


def test_the_published_end_needs_a_number_of_words():
    with pytest.raises(ValueError, match="say how many .--sentence_end_after 8"):
        PublishedGrammar(WordDelayLayout(INVENTORY, 1), TEXT, None)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.sampled_from([DOG, S, STOP]), min_size=1, max_size=20),
    st.integers(1, 3),
    st.sampled_from([WordDelayLayout, TokenDelayLayout]),
    st.booleans(),
)
def test_codes_come_once_a_word_in_order(ids, delay, layout_class, starts_word):
    grammar = WordGrammar(layout_class(INVENTORY, delay), TEXT)
    state = (
        grammar.start() if starts_word else WordState(frozenset(("start", "inside")))
    )
    ids = [DOG, *ids] if starts_word else ids
    rows, states = walk(grammar, [*ids, *[END] * 4], state=state)
    words = 1 + sum(token == DOG for token in ids[1:])
    assert states[-1].words == words
    assert sampled(grammar, states) == list(range(words))
    assert len(rows) == len(ids) + delay
    if starts_word:
        assert run_grammar(grammar, np.array(rows)) == states[-1]


@pytest.mark.parametrize("delay", [0, 1, 2, 3])
def test_a_given_text_is_written_to_its_end(delay):
    tokens, words = [S, STOP, DOG, S, DOG, END], [[S], [STOP], [DOG, S], [DOG, END]]
    bare = PromptRows(torch.zeros(0), torch.zeros(0), WordState())
    prompt = bare.with_text(words, END)
    assert prompt.state.given == (True, True, True, False, True, False)
    assert prompt.known == [[token, HOLE] for token in (*tokens, END)]
    for layout in (
        WordDelayLayout(INVENTORY, delay),
        TokenDelayLayout(INVENTORY, delay),
    ):
        grammar, state, states = WordGrammar(layout, TEXT), prompt.state, []
        for token in [*tokens, *[END] * max(1, delay)]:
            state = grammar.advance(state, [token])
            states.append(state)
        assert states[-1].starts[:6] == prompt.state.given
        assert sampled(grammar, states) == [0, 1, 2, 3]
        finals = [grammar.final(state) for state in states]
        assert finals == [False] * (len(states) - 1) + [True]
        kinds = grammar.allowed(states[5], []).kinds
        assert END_KIND in kinds and not states[5].drained


@given(st.lists(st.integers(1, 3), min_size=1, max_size=8))
def test_words_of_a_given_text_begin_with_their_first_token(sizes):
    bare = PromptRows(torch.zeros(0), torch.zeros(0), WordState())
    prompt = bare.with_text([[DOG] * size for size in sizes], END)
    starts = [number == 0 for size in sizes for number in range(size)]
    assert prompt.state.given == tuple(starts)
