"""The text-aligned layout against the obvious loop, and its inverse."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.masks import length_mask
from espnet2_taste.slm.layouts import text_aligned as layout

EOS = 999

utterances = st.lists(
    st.lists(st.integers(min_value=1, max_value=4), min_size=1, max_size=8),
    min_size=1,
    max_size=4,
)
layouts = st.sampled_from([layout.WordDelayLayout, layout.TokenDelayLayout])


def make_batch(words_per_utterance, garbage=7):
    """Tokens per word of each utterance -> text, lengths, word ids (padded)."""
    lengths = torch.tensor([sum(words) for words in words_per_utterance])
    text = torch.full((len(lengths), int(lengths.max())), garbage)
    word_ids = torch.full_like(text, garbage % 3)
    for row, words in enumerate(words_per_utterance):
        ids = [w for w, size in enumerate(words) for _ in range(size)]
        word_ids[row, : len(ids)] = torch.tensor(ids)
        text[row, : len(ids)] = 100 * (row + 1) + torch.arange(len(ids))
    return text, lengths, word_ids


def slow_rows(words, delay, by_token):
    """One utterance, written as the paper draws it: lists of L entries."""
    starts, token = [], 0
    for size in words:
        starts.append(token)
        token += size
    total = token + delay + 1
    predicted = [-1] * total
    for word, start in enumerate(starts):
        later = starts + [token + i for i in range(delay)]
        row = start + delay if by_token else later[word + delay]
        predicted[row] = word
    heard, arrivals, current = [], [], -1
    for row in range(total):
        new = predicted[row - 1] if row > 0 else -1
        current = new if new != -1 else current
        heard.append(current)
        arrivals.append(new != -1)
    return predicted, heard, arrivals


@given(batch=utterances, delay=st.integers(0, 4), kind=layouts)
@settings(max_examples=150, deadline=None)
def test_encode_equals_the_slow_loop(batch, delay, kind):
    text, lengths, word_ids = make_batch(batch)
    grid = kind(delay=delay).encode(text, lengths, word_ids, EOS)
    by_token = kind is layout.TokenDelayLayout
    for row, words in enumerate(batch):
        size = int(grid.lengths[row])
        predicted, heard, arrivals = slow_rows(words, delay, by_token)
        assert size == len(predicted) == sum(words) + delay + 1
        assert grid.word_labels[row].tolist()[:size] == predicted
        assert grid.words[row].tolist()[:size] == heard
        assert grid.arrivals[row].tolist()[:size] == arrivals
        tokens = text[row, : sum(words)].tolist()
        assert grid.text[row, :size].tolist() == [-1] + tokens + [-1] * delay
        assert grid.text_labels[row, :size].tolist() == tokens + [EOS] + [-1] * delay
        for field in (grid.text, grid.words, grid.text_labels, grid.word_labels):
            assert (field[row, size:] == layout.IGNORE).all()
        assert not grid.arrivals[row, size:].any()


@given(batch=utterances, delay=st.integers(0, 4), kind=layouts)
@settings(max_examples=100, deadline=None)
def test_decode_inverts_encode(batch, delay, kind):
    text, lengths, word_ids = make_batch(batch)
    aligned = kind(delay=delay)
    grid = aligned.encode(text, lengths, word_ids, EOS)
    decoded, positions = aligned.decode(grid)
    valid = length_mask(lengths, text.size(1))
    assert torch.equal(decoded, torch.where(valid, text, layout.IGNORE))
    starts, num_words = layout.word_starts(word_ids, lengths)
    assert torch.equal(positions, aligned.positions(starts, num_words, lengths))
    assert num_words.tolist() == [len(words) for words in batch]


@given(batch=utterances, delay=st.integers(0, 3), kind=layouts)
@settings(max_examples=60, deadline=None)
def test_padding_never_changes_a_row(batch, delay, kind):
    grid = kind(delay=delay).encode(*make_batch(batch), EOS)
    for row, words in enumerate(batch):
        alone_text, lengths, word_ids = make_batch([words])
        alone = kind(delay=delay).encode(alone_text + 100 * row, lengths, word_ids, EOS)
        size = int(alone.lengths[0])
        for name in ("text", "words", "arrivals", "text_labels", "word_labels"):
            batched = getattr(grid, name)[row, :size]
            assert torch.equal(batched, getattr(alone, name)[0]), name


def test_every_word_is_predicted_once_and_the_last_codes_follow_the_text():
    text, lengths, word_ids = make_batch([[2, 1, 3]])
    grid = layout.WordDelayLayout(delay=1).encode(text, lengths, word_ids, EOS)
    assert grid.word_labels.tolist() == [[-1, -1, 0, 1, -1, -1, 2, -1]]
    assert grid.text_labels.tolist()[0][-2:] == [EOS, -1]


def test_more_delay_than_words_waits_until_the_text_has_ended():
    text, lengths, word_ids = make_batch([[2]])
    grid = layout.WordDelayLayout(delay=3).encode(text, lengths, word_ids, EOS)
    assert grid.word_labels.tolist() == [[-1, -1, -1, -1, 0, -1]]


def test_reference_compat_keeps_the_padding_targets():
    text, lengths, word_ids = make_batch([[3, 3], [2, 1]])
    published = layout.WordDelayLayout(delay=1, reference_compat=True)
    grid = published.encode(text, lengths, word_ids, EOS)
    assert grid.text_labels[0].tolist()[6:] == [-1, -1]
    assert grid.text_labels[1].tolist()[3:] == [0, 0, -1, -1, -1]


def test_gather_words_fills_rows_without_a_word():
    values = torch.arange(6.0).view(1, 3, 2)
    rows = layout.gather_words(values, torch.tensor([[-1, 0, 0, 2]]), torch.tensor(9.0))
    assert rows.tolist() == [[[9.0, 9.0], [0.0, 1.0], [0.0, 1.0], [4.0, 5.0]]]


def test_negative_delay_is_refused():
    with pytest.raises(ValueError, match="delay must be >= 0, found -1"):
        layout.WordDelayLayout(delay=-1)
