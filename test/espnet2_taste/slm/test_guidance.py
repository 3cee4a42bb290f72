"""The mixture of two text LMs against a loop over ids, and what it keeps."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from slow_guidance import slow_mix

from espnet2_taste.slm.guidance import TextMixture


@given(st.integers(0, 999), st.floats(0, 1), st.integers(2, 8), st.integers(0, 3))
def test_the_mixture_equals_a_loop(seed, share, text_size, added):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, text_size + added, generator=generator)
    base = 3 * torch.randn(2, text_size + 1, generator=generator)
    found = TextMixture(share, text_size, 1)(logits, base)
    slow = [slow_mix(*rows, text_size, 1, share) for rows in zip(logits, base)]
    torch.testing.assert_close(found, torch.stack(slow), atol=1e-4, rtol=1e-4)
    untouched = [1, *range(text_size, text_size + added)]
    assert torch.equal(found[:, untouched], logits[:, untouched])
    before, after = (x.softmax(dim=-1)[:, untouched] for x in (logits, found))
    torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-4)


def test_the_ends_are_the_two_lms():
    logits, base = torch.randn(5, 9), torch.randn(5, 9)
    torch.testing.assert_close(TextMixture(0.0, 6, 2)(logits, base), logits)
    words = [0, 1, 3, 4, 5]
    found = TextMixture(1.0, 6, 2)(logits, base)[:, words].softmax(dim=-1)
    torch.testing.assert_close(found, base[:, words].softmax(dim=-1))


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(ValueError, match="guidance is a share from 0 to 1"):
        TextMixture(share, 6, 2)
