"""The text loss in one pass equals the terms computed one by one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_losses import kl_to_base

from espnet2_taste.slm import losses
from espnet2_taste.slm import text_loss as one_pass


def slow(logits, targets, base):
    """Loss and values of each row, one log-softmax a term."""
    labels = targets.labels
    nll = losses.cross_entropy(logits[None], labels[None])[0]
    text = base.size(1)  # the text LM's ids, perhaps fewer than the model's
    kl = kl_to_base(logits[:, :text], base)
    known = labels.clamp(max=text - 1)
    base_nll = losses.cross_entropy(base[None], known[None])[0]
    hits = (logits.argmax(dim=-1) == labels).float()
    loss = (targets.ce_weights * nll + targets.kl_weights * kl).sum()
    return loss, (nll, hits, kl, base_nll)


def draw(rows, size, scale, seed):
    """Logits of both models, and targets."""
    generator = torch.Generator().manual_seed(seed)
    logits, base = scale * torch.randn(2, rows, size, generator=generator)
    labels = torch.randint(0, size, (rows,), generator=generator)
    weights = torch.rand(2, rows, generator=generator)
    return logits.requires_grad_(), one_pass.TextTargets(labels, *weights), base


@settings(deadline=None, max_examples=40)
@given(
    rows=st.integers(0, 9),
    size=st.integers(1, 12),
    scale=st.sampled_from([0.1, 3.0, 60.0]),
    chunk=st.integers(1, 40),
    seed=st.integers(0, 99),
    added=st.integers(0, 3),
)
def test_equals_the_terms_one_by_one(rows, size, scale, chunk, seed, added):
    *given_, base = draw(rows, size + added, scale, seed)
    base = base[:, :size]
    expected, values = slow(*given_, base)
    (slope,) = torch.autograd.grad(3.0 * expected, given_[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_pass, "CHUNK", chunk)
        patch.setattr(one_pass, "BASE_CHUNK", 2 * chunk)
        found = one_pass.text_loss(*given_, lambda part: base[part])
        (found_slope,) = torch.autograd.grad(3.0 * found.loss, given_[0])
    close = {"rtol": 1e-5, "atol": 1e-5 * max(1.0, scale)}  # digits of the logits
    torch.testing.assert_close(found.loss, expected, **close)
    torch.testing.assert_close(found_slope, slope, **close)
    rows_found = (found.nll, found.hits, found.kl, found.base_nll)
    torch.testing.assert_close(rows_found, values, **close)


def test_without_a_base_the_models_part_of_the_divergence_is_weighed():
    logits, targets, _ = draw(6, 9, 2.0, 0)
    found = one_pass.text_loss(logits, targets)
    nll = torch.nn.functional.cross_entropy(logits, targets.labels, reduction="none")
    part = logits.logsumexp(dim=1)
    expected = (targets.ce_weights * nll + targets.kl_weights * part).sum()
    torch.testing.assert_close(found.loss, expected)
    torch.testing.assert_close(found.kl, part.detach())
    slopes = [torch.autograd.grad(x, logits)[0] for x in (found.loss, expected)]
    torch.testing.assert_close(*slopes)
    assert not found.base_nll.any()


def test_a_second_gradient_is_refused_rather_than_wrong():
    loss = one_pass.text_loss(*draw(4, 5, 1.0, 0)[:2]).loss
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_half_precision_keeps_sums_in_float32():
    logits, targets, base = draw(5, 300, 2.0, 1)
    halves = logits.detach().bfloat16().requires_grad_()
    found = one_pass.text_loss(halves, targets, lambda part: base[part])
    expected, _ = slow(halves.detach().float(), targets, base)
    torch.testing.assert_close(found.loss, expected)
    found.loss.backward()
    assert halves.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("with_base", [True, False])
@pytest.mark.parametrize("rows", [0, 3, 4, 11])
def test_parts_of_rows_give_what_all_rows_give(monkeypatch, rows, with_base):
    torch.manual_seed(0)
    head = torch.nn.Linear(6, 9)
    _, targets, base_logits = draw(rows, 9, 2.0, 1)
    states = torch.randn(rows, 6, requires_grad=True)
    base = (lambda part: base_logits[part]) if with_base else None
    whole = one_pass.text_loss(head(states), targets, base)
    inputs = (states, head.weight)
    expected = torch.autograd.grad(whole.loss, inputs)
    monkeypatch.setattr(one_pass, "KEPT", 4 * 9)  # four rows
    largest = []

    def recorded(part):
        largest.append(len(part))
        return head(part)

    found = one_pass.states_loss(states, recorded, 9, targets, base)
    torch.testing.assert_close(torch.autograd.grad(found.loss, inputs), expected)
    for name in ("loss", "nll", "hits", "kl", "base_nll"):
        torch.testing.assert_close(getattr(found, name), getattr(whole, name))
    assert max(largest) <= 4
    assert len(largest) == (1 if rows <= 4 else 2 * -(-rows // 4))  # again in backward


def test_logits_of_all_rows_are_not_kept(monkeypatch):
    monkeypatch.setattr(one_pass, "KEPT", 4 * 50)
    head = torch.nn.Linear(3, 50)
    states = torch.randn(40, 3, requires_grad=True)
    ones = torch.ones(40)
    targets = one_pass.TextTargets(ones.long(), ones, ones)
    kept = []
    pack = lambda tensor: kept.append(tensor.numel()) or tensor  # noqa: E731
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        one_pass.states_loss(states, head, 50, targets)
    assert sum(kept) < 40 * 50
