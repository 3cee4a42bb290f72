"""Gated convolutions: padding, neighbours that count, one position at a time."""

import pytest
import torch

from espnet2_taste.speech_decoder.gated_conv import GatedConv, GatedConvStack


def build(causal, kernel_size=3, blocks=2, dilation=1):
    torch.manual_seed(0)
    return GatedConvStack(4, blocks, kernel_size, causal, dilation=dilation).eval()


@pytest.mark.parametrize("causal", [False, True])
def test_padding_changes_nothing(causal):
    stack, x = build(causal), torch.randn(1, 5, 4)
    valid = torch.ones(1, 5, dtype=torch.bool)
    wide = torch.nn.functional.pad(x, (0, 0, 0, 3), value=9.0)
    more = torch.nn.functional.pad(valid, (0, 3))
    assert torch.allclose(stack(wide, more)[:, :5], stack(x, valid), atol=1e-6)


@pytest.mark.parametrize(
    "causal, dilation, before, after",
    [(False, 1, 2, 2), (True, 1, 4, 0), (False, 3, 4, 4), (True, 2, 6, 0)],
    ids=["both", "past", "both, wider", "past, wider"],
)
def test_an_output_depends_on_the_stated_neighbours(causal, dilation, before, after):
    stack = build(causal, dilation=dilation)
    assert (stack.before, stack.after) == (before, after)
    x = torch.randn(1, 15, 4, requires_grad=True)
    stack(x, torch.ones(1, 15, dtype=torch.bool))[0, 7].sum().backward()
    touched = x.grad[0].abs().sum(-1).nonzero().squeeze(1)
    assert touched.tolist() == list(range(7 - before, 8 + after))


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("kernel_size", [1, 2, 5])
def test_step_by_step_equals_the_whole(kernel_size, dilation):
    stack, x = build(True, kernel_size, dilation=dilation), torch.randn(2, 9, 4)
    whole = stack(x, torch.ones(2, 9, dtype=torch.bool))
    windows = stack.start_windows(x)
    steps = [stack.step(row, windows) for row in x.unbind(1)]
    assert torch.allclose(torch.stack(steps, dim=1), whole, atol=1e-6)


def test_an_even_filter_has_no_middle():
    with pytest.raises(ValueError, match="odd kernel size"):
        GatedConv(4, 4, causal=False)


def test_positions_are_one_apart_at_least():
    with pytest.raises(ValueError, match="dilation of 1 or more, got 0"):
        GatedConv(4, 3, causal=False, dilation=0)
