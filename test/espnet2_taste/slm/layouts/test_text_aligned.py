"""The text-aligned layout against the obvious loop, and its inverse."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from word_cores import grid_batch, inventory

from espnet2_taste.slm.layouts.text_aligned import (
    NOTHING,
    TokenDelayLayout,
    WordDelayLayout,
)
from espnet2_taste.slm.layouts.utterance import Turn, Utterance

EOS = 99

sizes = st.lists(st.integers(min_value=1, max_value=4), min_size=1, max_size=8)
layouts = st.sampled_from([WordDelayLayout, TokenDelayLayout])


def built(kind, delay, **options):
    return kind(inventory(100, EOS), delay, **options)


def said(words, shift=0):
    """An utterance of so many tokens a word, two codes a word."""
    ids = iter(range(shift + 3, 90))
    return Utterance(
        words=tuple(tuple(next(ids) for _ in range(size)) for size in words),
        codes=tuple((word, word + 1) for word in range(len(words))),
    )


def decode(ids):
    """Text (N,) and codes (W, Q) of rows."""
    text = ids[:, 0][(ids[:, 0] >= 0) & (ids[:, 0] != EOS)]
    codes = ids[:, 1:][(ids[:, 1:] >= 0).any(axis=1)]
    return tuple(text.tolist()), tuple(map(tuple, codes.tolist()))


def slow_rows(words, delay, by_token):
    """One utterance, written as the paper draws it: the word that each row holds."""
    starts, token = [], 0
    for size in words:
        starts.append(token)
        token += size
    rows = [-1] * (token + max(delay, 1))
    for word, start in enumerate(starts):
        later = starts + [token + i for i in range(delay)]
        rows[start + delay if by_token else later[word + delay]] = word
    return rows


@given(words=sizes, delay=st.integers(0, 4), kind=layouts)
@settings(max_examples=150, deadline=None)
def test_encode_equals_the_slow_loop(words, delay, kind):
    utterance = said(words)
    grid = built(kind, delay).encode(utterance)
    placed = slow_rows(words, delay, kind is TokenDelayLayout)
    text = [*utterance.tokens, EOS, *[-1] * (delay - 1)]
    codes = [[w, w + 1] if w >= 0 else [-1, -1] for w in placed]
    assert grid.ids.tolist() == [[t, *c] for t, c in zip(text, codes, strict=True)]
    assert np.array_equal(grid.padding, grid.ids < 0)
    assert np.array_equal(grid.weights, (grid.ids >= 0).astype(np.float32))


@given(words=sizes, delay=st.integers(0, 4), kind=layouts)
@settings(max_examples=100, deadline=None)
def test_decode_inverts_encode(words, delay, kind):
    utterance, layout = said(words), built(kind, delay)
    found = decode(layout.encode(utterance).ids)
    assert found == (utterance.tokens, utterance.codes)


@given(words=sizes, turn=sizes, delay=st.integers(0, 3), kind=layouts)
@settings(max_examples=60, deadline=None)
def test_an_answer_is_what_it_is_alone_behind_its_turn(words, turn, delay, kind):
    layout, spoken = built(kind, delay), said(turn, 40)
    before = Turn(spoken, (1, 2, 2), (4,))
    alone = layout.encode(said(words))
    grid = layout.encode(
        Utterance(said(words).words, codes=said(words).codes, turn=before)
    )
    count = len(grid.ids) - len(alone.ids)
    assert count == 2 + len(spoken.tokens) + delay + 1
    assert grid.padding[:count].all() and not grid.weights[:count].any()
    assert np.array_equal(grid.padding[count:], alone.padding)
    rows = grid.ids[count:]
    assert np.array_equal(np.where(rows == NOTHING, -1, rows), alone.ids)
    assert (grid.ids[count - 1, 1:] == NOTHING).all()
    text, codes = decode(grid.ids[2 : count - 1])
    assert (text, codes) == (spoken.tokens, spoken.codes)


def test_every_word_is_predicted_once_and_the_last_codes_follow_the_text():
    grid = built(WordDelayLayout, 1).encode(said([2, 1, 3]))
    assert grid.ids[:, 1].tolist() == [-1, -1, 0, 1, -1, -1, 2]
    assert grid.ids[-1, 0] == EOS


def test_more_delay_than_words_waits_until_the_text_has_ended():
    grid = built(WordDelayLayout, 3).encode(said([2]))
    assert grid.ids[:, 1].tolist() == [-1, -1, -1, -1, 0]


@pytest.mark.parametrize("delay", [0, 1])
def test_reference_compat_keeps_the_padding_targets(delay):
    published = built(WordDelayLayout, delay, reference_compat=True)
    batch = grid_batch(published, [said([3, 3]), said([2, 1])])
    labels = batch["grid"][..., 0]
    found = published.published_labels(labels, batch["grid_lengths"])
    assert torch.equal(found[0], labels[0]) and found[0, 6] == -1
    zeros = [0] * (delay + 1)
    assert found[1].tolist()[3:] == zeros + [-1] * (7 - 3 - len(zeros))


def test_negative_delay_is_refused():
    with pytest.raises(ValueError, match="delay must be >= 0, found -1"):
        built(WordDelayLayout, -1)
