"""A model's loss under autocast beside its loss in float32."""

import pytest
import torch

DTYPES = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)


def loss_of(result):
    """The loss of what an ESPnet model returns."""
    return result["loss"] if isinstance(result, dict) else result[0]


def check_half_precision(model, batch, dtype):
    """Finite gradients, and a loss within 1 % of that in float32.

    Args:
        model: An ESPnet model, put in evaluation mode.
        batch: Its input.
        dtype: Of the autocast.
    """
    model.eval()
    torch.manual_seed(0)
    exact = loss_of(model(**batch)).item()
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype):
        loss = loss_of(model(**batch))
    model.zero_grad()
    loss.backward()
    assert loss.dtype == torch.float32
    assert abs(loss.item() - exact) <= 0.01 * abs(exact)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            assert torch.isfinite(parameter.grad).all(), name
