"""Swap, copy and scale words between utterances."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.inference.editing import (
    copy_words,
    mix_words,
    scale_words,
    swap_words,
)
from espnet2_taste.structures import WordCodes
from espnet2_taste.tokenizer.quantizers.rvq import ResidualQuantizer


def utterance(rows, start=0):
    codes = np.arange(start, start + 2 * rows).reshape(rows, 2)
    return WordCodes(tuple(f"w{index}" for index in range(rows)), codes)


@settings(deadline=None)
@given(st.integers(1, 6), st.data())
def test_swap_equals_a_loop_and_is_its_own_inverse(count, data):
    first, second = utterance(count), utterance(count, 100)
    words = data.draw(st.lists(st.integers(0, count - 1), unique=True))
    mixed = swap_words(first, second, words)
    for index in range(count):
        sources = (second, first) if index in words else (first, second)
        for found, source in zip(mixed, sources):
            np.testing.assert_array_equal(found.codes[index], source.codes[index])
    back = swap_words(*mixed, words)
    for found, given_ in zip(back, (first, second)):
        np.testing.assert_array_equal(found.codes, given_.codes)
        assert found.words == given_.words and found.timings == ()


def test_all_words_are_swapped_by_default_and_inputs_stay():
    first, second = utterance(2), utterance(2, 100)
    mixed, _ = swap_words(first, second)
    np.testing.assert_array_equal(mixed.codes, second.codes)
    np.testing.assert_array_equal(first.codes, utterance(2).codes)


def test_copy_takes_any_word_of_another_utterance():
    found = copy_words(utterance(5, 100), utterance(3), {0: 4, 2: 1})
    assert found.codes.tolist() == [[108, 109], [2, 3], [102, 103]]


def tiny_quantizer():
    torch.manual_seed(0)
    return ResidualQuantizer(6, num_codebooks=3, codebook_size=16, latent_size=4).eval()


def test_words_between_two_readings_have_latents_between_theirs():
    quantizer, words = tiny_quantizer(), ("a", "b", "c", "d")
    first, second = (
        WordCodes(words, torch.randint(0, 16, (4, 3)).numpy()) for _ in range(2)
    )
    found = mix_words(quantizer, first, second, [0.0, 1.0, 0.25, 0.75])
    assert found.codes[:2].tolist() == [[*first.codes[0]], [*second.codes[1]]]
    for word, weight in ((2, 0.25), (3, 0.75)):
        one, other = (
            quantizer.latent(torch.from_numpy(item.codes[word]))
            for item in (first, second)
        )
        wanted = quantizer.codes_from_latent((1 - weight) * one + weight * other)
        np.testing.assert_array_equal(found.codes[word], wanted.detach().numpy())
    with pytest.raises(ValueError, match="found 4, 4 and 1"):
        mix_words(quantizer, first, second, [0.5])
    with pytest.raises(ValueError, match="weights from 0 to 1"):
        mix_words(quantizer, first, second, [0.5, 1.5, 0, 0])


def test_scale_moves_the_latent():
    quantizer = tiny_quantizer()
    item = WordCodes(("a", "b"), torch.randint(0, 16, (2, 3)).numpy())
    same = scale_words(quantizer, item, 1.0, [])
    np.testing.assert_array_equal(same.codes, item.codes)
    found = scale_words(quantizer, item, 0.5, [1])
    np.testing.assert_array_equal(found.codes[0], item.codes[0])
    wanted = 0.5 * quantizer.latent(torch.from_numpy(item.codes[1]))
    expected = quantizer.codes_from_latent(wanted)
    np.testing.assert_array_equal(found.codes[1], expected.numpy())


def test_places_that_do_not_exist_are_named():
    with pytest.raises(ValueError, match="word 3 does not exist: 'w0 w1 w2' has"):
        swap_words(utterance(3), utterance(3), [1, 3])
    with pytest.raises(ValueError, match="word -1 does not exist"):
        copy_words(utterance(3), utterance(3), {0: -1})
    with pytest.raises(ValueError, match="cannot swap between 2 and 3 words"):
        swap_words(utterance(2), utterance(3))
