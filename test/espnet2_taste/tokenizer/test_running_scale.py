"""Vectors without running mean and scale: moments, padding, batches."""

import torch

from espnet2_taste.tokenizer.running_scale import RunningScale


def test_moments_of_many_batches_are_those_of_the_features():
    torch.manual_seed(0)
    layer = RunningScale(3)
    mean, scale = torch.tensor([40.0, -3.0, 0.0]), torch.tensor([2.0, 0.1, 7.0])
    valid = torch.rand(2, 50) < 0.8
    for _ in range(80):
        x = torch.randn(2, 50, 3) * scale + mean
        x[~valid] = 1.0e4  # padding counts nowhere
        layer(x, valid)
    found = layer.eval()(
        torch.randn(1, 4000, 3) * scale + mean, torch.ones(1, 4000) > 0
    )
    assert torch.allclose(found.mean((0, 1)), torch.zeros(3), atol=0.1)
    assert torch.allclose(found.std((0, 1)), torch.ones(3), atol=0.1)


def test_a_vector_does_not_depend_on_its_batch():
    torch.manual_seed(0)
    layer, valid = RunningScale(3), torch.ones(2, 5) > 0
    layer(torch.randn(2, 5, 3) + 5, valid)
    x = torch.randn(2, 5, 3) + 5
    assert torch.equal(layer.eval()(x, valid)[1:], layer(x[1:], valid[1:]))
    assert layer.batches == 1  # evaluation counts nothing


def test_no_gradient_reaches_a_feature_by_its_moments():
    layer, x = RunningScale(1), torch.randn(1, 4, 1, requires_grad=True)
    layer(x, torch.ones(1, 4) > 0)[0, 0].backward()
    assert x.grad[0, 0] != 0 and not x.grad[0, 1:].any()


def test_a_batch_without_a_vector_leaves_the_moments():
    layer = RunningScale(2)
    layer(torch.ones(1, 3, 2), torch.zeros(1, 3) > 0)
    assert layer.mean.eq(0).all() and layer.variance.eq(1).all()
    assert layer.batches == 0
