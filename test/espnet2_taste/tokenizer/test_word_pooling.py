"""Averages over words and spans against slow loops."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_rules import span_means

from espnet2_taste.tokenizer.word_pooling import (
    token_codes,
    word_codes,
    word_means,
    word_starts,
)


def slow_means(hidden, word_ids):
    out = hidden.clone()
    for row, ids in enumerate(word_ids.tolist()):
        for word in set(ids) - {-1}:
            places = [place for place, other in enumerate(ids) if other == word]
            out[row, places] = hidden[row, places].mean(0)
    return out


def layout(words):
    """Token counts of the words of each utterance -> padded word ids."""
    rows = [[w for w, n in enumerate(counts) for _ in range(n)] for counts in words]
    longest = max(map(len, rows))
    return torch.tensor([row + [-1] * (longest - len(row)) for row in rows])


COUNTS = st.lists(
    st.lists(st.integers(1, 4), min_size=1, max_size=6), min_size=1, max_size=4
)


@given(COUNTS)
@settings(max_examples=50, deadline=None)
def test_word_means_equal_the_loop(counts):
    word_ids = layout(counts)
    hidden = torch.randn(*word_ids.shape, 3)
    got = word_means(hidden, word_ids)
    assert torch.allclose(got, slow_means(hidden, word_ids), atol=1e-6)


@given(COUNTS)
@settings(max_examples=50, deadline=None)
def test_word_codes_and_back(counts):
    word_ids = layout(counts)
    codes = torch.full((*word_ids.shape, 2), -1)
    for row, ids in enumerate(word_ids.tolist()):
        for place, word in enumerate(ids):
            if word >= 0:
                codes[row, place] = torch.tensor([word, 10 * row + word])
    short, lengths = word_codes(codes, word_ids)
    assert lengths.tolist() == [len(c) for c in counts]
    for row, words in enumerate(lengths.tolist()):
        assert short[row, :words, 0].tolist() == list(range(words))
        assert (short[row, words:] == -1).all()
    assert torch.equal(token_codes(short, word_ids), codes)


def test_word_starts():
    starts = word_starts(torch.tensor([[0, 0, 1, 2, 2, -1]]))
    assert starts.tolist() == [[True, False, True, True, False, False]]


def test_span_means_equal_the_loop():
    torch.manual_seed(0)
    hidden, lengths = torch.randn(2, 10, 3), torch.tensor([10, 8])
    spans = torch.tensor([[[0.0, 0.3], [0.3, 0.9]], [[0.1, 0.2], [0.5, 0.99]]])
    got = span_means(hidden, lengths, spans)
    for row in range(2):
        for token in range(2):
            start, end = (spans[row, token] * lengths[row]).int().tolist()
            want = hidden[row, start : end + 1].mean(0)
            assert torch.allclose(got[row, token], want, atol=1e-6)
