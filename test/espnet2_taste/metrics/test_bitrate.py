"""Bits per second."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.metrics.bitrate import entropy_bits, measure_bitrate


def test_published_rate_from_its_parts():
    codes = [np.zeros((30, 4), int)]
    rate = measure_bitrate(codes, 10.0, 512, text_tokens=30, text_vocab_size=51866)
    assert rate["bits_per_token"] == 36
    assert rate["bits_per_second"] == 108
    assert rate["text_bits_per_second"] == pytest.approx(47, abs=0.1)
    assert rate["entropy_bits_per_second"] == 0


@given(st.lists(st.integers(0, 15), min_size=1, max_size=50))
def test_entropy_is_between_zero_and_the_size(codes):
    assert -1e-9 <= entropy_bits(np.array(codes)) <= 4


def test_uniform_codes_use_every_bit():
    codes = np.stack([np.arange(16), np.arange(16)[::-1]], axis=1)
    rate = measure_bitrate([codes], 4.0, 16)
    assert rate["entropy_bits_per_token"] == pytest.approx(rate["bits_per_token"])


def test_codes_outside_the_codebook_are_refused():
    with pytest.raises(ValueError, match="outside a codebook of 8"):
        measure_bitrate([np.array([[9]])], 1.0, 8)
    with pytest.raises(ValueError, match="found 0"):
        measure_bitrate([], 1.0, 8)
