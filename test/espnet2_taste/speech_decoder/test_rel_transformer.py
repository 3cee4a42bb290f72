"""Padding and caching change nothing; names are the published ones."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.speech_decoder.rel_transformer import RelTransformer


def make_stack(causal=True, **options):
    torch.manual_seed(0)
    stack = RelTransformer(5, 8, 2, 2, 16, causal=causal, **options).eval()
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return stack


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("left", [0, 3])
def test_padding_changes_nothing(causal, left):
    stack = make_stack(causal)
    x = torch.randn(1, 6, 5)
    alone = stack(x)
    padded = torch.full((2, 13, 5), 7.0)
    mask = torch.zeros(2, 13, dtype=torch.bool)
    padded[0, left : left + 6], mask[0, left : left + 6] = x[0], True
    mask[1] = True
    torch.testing.assert_close(
        stack(padded, mask)[0, left : left + 6], alone[0], atol=1e-5, rtol=1e-5
    )
    assert torch.isfinite(stack(padded, mask)).all()


def test_causal_ignores_the_future():
    stack = make_stack()
    x = torch.randn(1, 6, 5)
    changed = x.clone()
    changed[:, 4:] += 1.0
    torch.testing.assert_close(stack(x)[:, :4], stack(changed)[:, :4])
    assert not torch.allclose(
        make_stack(False)(x)[:, :4], make_stack(False)(changed)[:, :4]
    )


@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_cached_equals_uncached(sizes):
    stack = make_stack()
    x = torch.randn(2, sum(sizes), 5, generator=torch.Generator().manual_seed(3))
    mask = torch.ones(2, sum(sizes), dtype=torch.bool)
    mask[1, : sizes[0] - 1] = False
    cache = stack.start_cache(2, capacity=2)
    pieces = [
        stack.extend(piece, cache, part)
        for piece, part in zip(x.split(sizes, 1), mask.split(sizes, 1))
    ]
    torch.testing.assert_close(
        torch.cat(pieces, 1)[mask], stack(x, mask)[mask], atol=1e-5, rtol=1e-5
    )


def test_select_keeps_the_chosen_rows():
    stack = make_stack()
    x = torch.randn(3, 5, 5)
    cache = stack.start_cache(3)
    stack.extend(x[:, :4], cache)
    cache.select(torch.tensor([2, 0]))
    last = stack.extend(x[[2, 0], 4:], cache)
    torch.testing.assert_close(last, stack(x)[[2, 0], 4:], atol=1e-5, rtol=1e-5)


def test_names_are_the_published_ones():
    names = set(make_stack(norm_names=("norm1", "norm2")).state_dict())
    block = "encoders.1."
    assert {"embed.out.0.weight", "embed.out.1.bias", "after_norm.weight"} <= names
    assert {block + "norm1.weight", block + "norm2.bias"} <= names
    assert {
        block + "self_attn.linear_pos.weight",
        block + "self_attn.pos_bias_u",
    } <= names
    assert block + "self_attn.linear_pos.bias" not in names
    assert "encoders.0.norm_mha.weight" in make_stack().state_dict()


def test_dropout_acts_in_training_only():
    stack = make_stack(dropout_rate=0.5, attention_dropout_rate=0.5)
    x = torch.randn(1, 6, 5)
    torch.testing.assert_close(stack(x), stack(x))
    stack.train()
    assert not torch.allclose(stack(x), stack(x))


def test_only_causal_stacks_are_cached():
    with pytest.raises(ValueError, match="causal"):
        make_stack(causal=False).start_cache(1)
