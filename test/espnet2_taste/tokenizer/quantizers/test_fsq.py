"""Residual FSQ: grids, codes that come back, masks, gradients, counts."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.tokenizer.quantizers.fsq import FiniteScalarQuantizer, grid

LEVELS = [5, 4, 3]


def build(**options):
    torch.manual_seed(0)
    return FiniteScalarQuantizer(
        6, **({"num_codebooks": 3, "levels": LEVELS} | options)
    )


def batch():
    torch.manual_seed(1)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    return torch.randn(2, 5, 6), mask


def test_grid_by_slow_loop():
    axes = [[-1 + 2 * i / (count - 1) for i in range(count)] for count in LEVELS]
    want = torch.tensor(list(itertools.product(*axes)))
    torch.testing.assert_close(grid(LEVELS), want)
    torch.testing.assert_close(grid([3]), torch.tensor([[-1.0], [0.0], [1.0]]))


@given(st.lists(st.floats(-0.999, 0.999), min_size=3, max_size=3), st.integers(1, 4))
def test_rounds_feature_by_feature_and_the_rest_shrinks(values, depth):
    """Not worse than a slow scalar quantizer; each codebook divides the error."""
    latent = torch.tensor([values])
    model = build(num_codebooks=depth)
    found = model.latent(model.codes_from_latent(latent))[0]
    for value, count, got in zip(values, LEVELS, found.tolist()):
        total, scale = 0.0, 1.0
        for _ in range(depth):
            steps = [scale * (-1 + 2 * i / (count - 1)) for i in range(count)]
            total += min(steps, key=lambda step: abs(value - total - step))
            scale /= count - 1
        assert abs(value - got) <= abs(value - total) + 1e-4
        assert abs(value - got) <= scale + 1e-4


def test_codes_decode_and_padding_has_none():
    model = build().eval()
    x, mask = batch()
    output = model(x, mask)
    assert output.codes.shape == (2, 5, 3) and output.loss == 0
    assert (output.codes[~mask] == -1).all()
    valid = output.codes[mask]
    assert ((valid >= 0) & (valid < 60)).all() and model.codebook_size == 60
    torch.testing.assert_close(model.decode(output.codes), output.quantized)
    assert torch.equal(model.encode(x, mask), output.codes)
    latent = model.latent(valid)
    torch.testing.assert_close(model.latent(model.codes_from_latent(latent)), latent)


def test_gradients_pass_straight_through():
    model = build(quantize_dropout=False).train()
    x, mask = batch()
    x.requires_grad_()
    model(x, mask).quantized[mask].square().sum().backward()
    assert x.grad[mask].abs().sum() > 0 and not x.grad[~mask].any()
    assert all(p.grad is not None for p in model.parameters())


def test_dropout_leaves_leading_codebooks():
    model, depths = build().train(), set()
    x, mask = batch()
    for _ in range(30):
        skipped = (model(x, mask).codes[mask] == -1).all(0)
        depth = int((~skipped).sum())
        assert not skipped[:depth].any() and skipped[depth:].all()
        depths.add(depth)
    assert depths == {1, 2, 3}


def test_usage_counts_training_only():
    model = build(quantize_dropout=False, decay=0.0)
    x, mask = batch()
    model.eval()(x, mask)
    assert model.usage()[0] == 0
    codes = model.train()(x, mask).codes[mask]
    want = sum(len(set(column.tolist())) / 60 for column in codes.unbind(1)) / 3
    assert model.usage()[0] == pytest.approx(want)


@pytest.mark.parametrize("levels", [[], [1, 4], [64, 64, 64]])
def test_levels_without_sense_are_refused(levels):
    with pytest.raises(ValueError, match="at least two levels a feature"):
        build(levels=levels)
