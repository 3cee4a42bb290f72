"""Positions read one by one are what the same positions are together."""

import pytest
import torch

from espnet2_taste.speech_decoder.rel_step import MANY_ROWS, affine
from espnet2_taste.speech_decoder.rel_transformer import RelTransformer
from espnet2_taste.weight_types import convert_weights

HEADS, PREFIX, NEW = 2, 5, 3


def read(stack, x, mask, one_by_one, hide):
    """States of the new positions and maps of head 1."""
    cache = stack.start_cache(len(x), 4)
    stack.extend(x[:, :PREFIX], cache, mask)
    new = x[:, PREFIX:]
    with stack.watched(1) as maps:
        if one_by_one:
            states = [stack.step(position, cache, hide) for position in new.unbind(1)]
            return torch.stack(states, dim=1), maps
        return stack.extend(new, cache, hidden=hide), maps


@pytest.mark.parametrize("batch", [1, 3, MANY_ROWS + 1])
@pytest.mark.parametrize("guided", [False, True])
@torch.no_grad()
def test_one_by_one_equals_together(batch, guided):
    torch.manual_seed(0)
    stack = RelTransformer(6, 8, 2, HEADS, 12).eval()
    x = torch.randn(batch, PREFIX + NEW, 6)
    mask = torch.arange(PREFIX) >= torch.arange(batch)[:, None] % 3  # left padding
    unseen = torch.rand(batch, PREFIX) < 0.5
    bias = torch.zeros(batch, PREFIX).masked_fill(unseen, float("-inf"))
    hide = (1, bias) if guided else None
    alone, single = read(stack, x, mask, True, hide)
    together, both = read(stack, x, mask, False, hide)
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-5)
    assert len(both) == 2 and len(single) == 2 * NEW
    for step in range(NEW):
        for block in range(2):
            got = single[2 * step + block][:, 0]
            want = both[block][:, step, : PREFIX + step + 1]
            torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(6,), (1, 6), (3, 6)])
@torch.inference_mode()
def test_a_quantized_layer_takes_vectors_and_rows(shape):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(6, 4))
    x, exact = torch.randn(shape), network[0]
    convert_weights(network, "int8")
    written = torch.zeros(*shape[:-1], 4)
    given = affine(network[0])(x, out=written)
    torch.testing.assert_close(given, exact(x), rtol=0.1, atol=0.1)
    assert torch.equal(given, written)
