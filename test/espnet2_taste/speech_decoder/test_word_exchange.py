"""Vectors of other words: all of them once, none at its own place, no padding."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.speech_decoder.word_exchange import exchange_words, other_words


@given(st.text(max_size=5), st.integers(1, 40), st.integers(0, 9))
def test_every_word_gets_another_one(name, words, seed):
    order = other_words(name, words, seed)
    assert sorted(order.tolist()) == list(range(words))
    assert words == 1 or (order != np.arange(words)).all()
    assert order.tolist() == other_words(name, words, seed).tolist()


def test_tokens_get_the_mean_of_another_word_and_padding_nothing():
    word_ids = torch.tensor([[0, 0, 1, 2], [0, 1, -1, -1]])
    taste = torch.randn(2, 4, 3)
    found = exchange_words(taste, word_ids, ["a", "b"], 0)
    means = torch.stack([taste[0, :2].mean(0), taste[0, 2], taste[0, 3]])
    torch.testing.assert_close(found[0], means[other_words("a", 3, 0)[word_ids[0]]])
    torch.testing.assert_close(found[1, :2], taste[1, [1, 0]])
    assert (found[1, 2:] == 0).all()
    alone = exchange_words(taste[1:, :2], word_ids[1:, :2], ["b"], 0)
    torch.testing.assert_close(alone[0], found[1, :2])
