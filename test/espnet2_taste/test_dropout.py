"""Dropout keeps torch's distribution, and its gradient is that of what was kept."""

import pytest
import torch

from espnet2_taste.dropout import Dropout


@pytest.mark.parametrize("p", [0.05, 0.3, 0.9])
def test_share_and_mean_are_those_of_p(p):
    torch.manual_seed(0)
    x = torch.ones(300, 1001, requires_grad=True)
    y = Dropout(p)(x)
    assert (y == 0).float().mean().item() == pytest.approx(p, abs=0.005)
    assert y.mean().item() == pytest.approx(1.0, abs=0.02)
    assert y.detach().unique().tolist() == pytest.approx([0.0, 1 / (1 - p)], rel=1e-3)
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(slope, y)


def test_every_place_and_neighbours_are_independent():
    torch.manual_seed(0)
    layer = Dropout(0.5)
    kept = torch.stack([layer(torch.ones(11)) for _ in range(4000)]).bool().float()
    assert (kept.mean(0) - 0.5).abs().max() < 0.04
    assert (torch.corrcoef(kept.T) - torch.eye(11)).abs().max() < 0.08


@pytest.mark.parametrize("p", [0.0, 1.0, 1e-6])
def test_extremes(p):
    x = torch.arange(5.0)
    torch.testing.assert_close(Dropout(p)(x), x if p < 1 else torch.zeros(5))
    assert torch.equal(Dropout(p).eval()(x), x)


def test_the_seed_decides_and_types_stay():
    def drop(seed, dtype=torch.float32):
        torch.manual_seed(seed)
        return Dropout(0.5)(torch.ones(64, dtype=dtype))

    assert torch.equal(drop(1), drop(1)) and not torch.equal(drop(1), drop(2))
    assert drop(1, torch.bfloat16).dtype == torch.bfloat16
    assert Dropout(0.5)(torch.ones(0, 3)).shape == (0, 3)
