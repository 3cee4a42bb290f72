"""Tangents give the divergence that the logits of both models give."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_losses import kl_to_base

from espnet2_taste.slm import tangents
from espnet2_taste.slm.text_loss import TextTargets, states_loss


def draw(rows, size, vocabulary, seed):
    """A head with a bias and a scale, states of both models, targets."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(vocabulary, size, generator=generator)
    bias = torch.randn(vocabulary, generator=generator)
    states, base = torch.randn(2, rows, size, generator=generator)
    labels = torch.randint(0, vocabulary, (rows,), generator=generator)
    targets = TextTargets(labels, *torch.rand(2, rows, generator=generator))
    head = lambda h: 0.7 * (h @ weight.T + bias)  # noqa: E731
    return head, states.requires_grad_(), base, targets


@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(0, 9),
    size=st.integers(1, 6),
    vocabulary=st.integers(1, 12),
    chunk=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_equals_the_loss_with_the_logits_of_the_base(
    rows, size, vocabulary, chunk, seed
):
    head, states, base, targets = draw(rows, size, vocabulary, seed)
    given_ = (states, head, vocabulary, targets)
    expected = states_loss(*given_, lambda part: head(base[part]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tangents, "BASE_CHUNK", chunk)
        known = tangents.base_tangents(head, base, targets.labels)
    found = tangents.tangent_loss(*given_, known)
    slopes = [torch.autograd.grad(2.0 * x.loss, states)[0] for x in (found, expected)]
    close = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(*slopes, **close)
    for name in ("loss", "nll", "hits", "kl", "base_nll"):
        values = (getattr(x, name) for x in (found, expected))
        torch.testing.assert_close(*values, **close)
    kl = kl_to_base(head(states), head(base)).detach()
    torch.testing.assert_close(found.kl, kl, **close)


def test_heads_that_bend_are_told_from_affine_ones():
    torch.manual_seed(0)
    layer, like = torch.nn.Linear(8, 30), torch.randn(8)
    assert tangents.is_affine(layer, like)
    assert tangents.is_affine(lambda h: layer(h) / 16, like)
    assert not tangents.is_affine(lambda h: 30 * torch.tanh(layer(h) / 30), like)
    assert not tangents.is_affine(lambda h: layer(torch.relu(h)), like)
