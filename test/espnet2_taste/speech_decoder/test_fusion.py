"""Fusions: weights, normalisation, shapes."""

import pytest
import torch

from espnet2_taste.speech_decoder.fusion import (
    ConcatFusion,
    SumFusion,
    WeightedSumFusion,
)


@pytest.mark.parametrize("fusion", [WeightedSumFusion, SumFusion, ConcatFusion])
def test_shape_and_gradient(fusion):
    text, taste = torch.randn(2, 3, 4), torch.randn(2, 3, 4, requires_grad=True)
    fused = fusion(4)(text, taste)
    assert fused.shape == (2, 3, 4)
    fused.sum().backward()
    assert taste.grad.abs().sum() > 0


def test_weighted_sum_starts_where_it_is_told():
    text, taste = torch.zeros(1, 2, 4), torch.ones(1, 2, 4)
    torch.testing.assert_close(
        WeightedSumFusion(4)(text, taste), torch.full((1, 2, 4), 0.5)
    )
    near_text = WeightedSumFusion(4, taste_logit=-2.0, text_logit=2.0)
    assert near_text(text, taste).max() < 0.02


def test_normalised_sides_do_not_depend_on_their_size():
    text, taste = torch.randn(1, 2, 8), torch.randn(1, 2, 8)
    fusion = WeightedSumFusion(8, normalize=True)
    torch.testing.assert_close(
        fusion(text, taste), fusion(50 * text, 0.2 * taste), atol=1e-3, rtol=1e-3
    )
