"""Cross entropy and divergence from the base LM in one pass over the vocabulary.

Enters: logits of the rows that have a text target, and what gives the base LM's logits
of the same rows. Leaves: the weighted sum of both losses and the values of each row.
One log-softmax serves losses, gradient and statistics; it runs in chunks of rows that
stay in the processor's cache, and nothing of the vocabulary's size is kept but the
gradient. Of large batches or vocabularies not even that: the rows then come as hidden
states, and the logits of some of them at a time are made for the loss and, once more,
for the gradient.

Legend: R rows with a target, H hidden size, V text vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.utils.checkpoint import checkpoint

CHUNK = 2**18
"""Logits of a chunk: a megabyte in float32."""
BASE_CHUNK = 2**24
"""Logits of the base LM that are computed at once."""
KEPT = 2**28
"""Logits that are kept for the gradient: a gigabyte in float32, and one of gradient."""


@dataclass(frozen=True)
class TextTargets:
    """What rows are to predict.

    Attributes:
        labels: Text ids, (R,).
        ce_weights: Weight of each row's cross entropy, (R,).
        kl_weights: Weight of each row's divergence from the base LM, (R,).
    """

    labels: torch.Tensor
    ce_weights: torch.Tensor
    kl_weights: torch.Tensor

    def __getitem__(self, part: slice) -> "TextTargets":
        """Those of some rows."""
        return TextTargets(
            self.labels[part], self.ce_weights[part], self.kl_weights[part]
        )


@dataclass(frozen=True)
class TextLoss:
    """Losses of rows with a text target.

    Attributes:
        loss: Weighted sum over rows, a scalar; the only one with a gradient.
        nll: Cross entropy of each row in nats, (R,).
        hits: 1 where the target is the most likely id, (R,).
        kl: Divergence KL(base || model) in nats, (R,); without a base the part of it
            that is the model's: the logarithm of the sum of e to the logits.
        base_nll: Cross entropy of the base LM, (R,), zero without a base.
    """

    loss: torch.Tensor
    nll: torch.Tensor
    hits: torch.Tensor
    kl: torch.Tensor
    base_nll: torch.Tensor

    @classmethod
    def joined(cls, parts: Sequence["TextLoss"]) -> "TextLoss":
        """The sum of the losses, and the values of all rows in order."""
        rows = [torch.cat([getattr(part, name) for part in parts]) for name in VALUES]
        return cls(torch.stack([part.loss for part in parts]).sum(), *rows)


VALUES = ("nll", "hits", "kl", "base_nll")


def text_loss(
    logits: torch.Tensor,
    targets: TextTargets,
    base: Callable[[slice], torch.Tensor] | None = None,
) -> TextLoss:
    """Weighted sum of cross entropy and divergence from the base LM.

    Args:
        logits: Of the trained model, (R, V).
        targets: Of R rows.
        base: Gives the base LM's logits of some rows, (r, V); None for no base.

    Returns:
        The loss, and values of each row without gradient.
    """
    weights = torch.stack([targets.ce_weights, targets.kl_weights]).float()
    loss, rows = _TextLoss.apply(logits, targets.labels, weights, base)
    return TextLoss(loss, *rows)


def states_loss(
    states: torch.Tensor,
    head: Callable[[torch.Tensor], torch.Tensor],
    vocab_size: int,
    targets: TextTargets,
    base: Callable[[slice], torch.Tensor] | None = None,
) -> TextLoss:
    """:func:`text_loss` of hidden states, with at most ``KEPT`` logits in memory.

    Args:
        states: (R, H).
        head: Hidden states to logits, (r, H) -> (r, V).
        vocab_size: V.
        targets: See :func:`text_loss`.
        base: Likewise.

    Returns:
        See :func:`text_loss`.
    """
    step = max(1, KEPT // vocab_size)

    def part_loss(states, start):
        given = targets[start : start + len(states)]
        return text_loss(head(states), given, base and _shifted(base, start))

    if len(states) <= step:
        return part_loss(states, 0)
    return TextLoss.joined(
        [
            checkpoint(
                part_loss, states[start : start + step], start, use_reentrant=False
            )
            for start in range(0, len(states), step)
        ]
    )


def _shifted(base: Callable[[slice], torch.Tensor], start: int) -> Callable:
    """The base's logits of rows that are counted from ``start``."""
    return lambda part: base(slice(start + part.start, start + part.stop))


class _TextLoss(torch.autograd.Function):
    """The gradient is made beside the loss, while the probabilities are at hand."""

    @staticmethod
    def forward(ctx, logits, labels, weights, base):
        """Return the loss and nll, hits, kl, base nll of each row, (4, R)."""
        rows = logits.new_zeros((4, len(logits)), dtype=torch.float32)
        gradient = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        vocabulary = max(logits.size(1), 1)
        step = max(1, CHUNK // vocabulary)
        base_step = max(step, BASE_CHUNK // vocabulary // step * step)
        for first in range(0, len(logits), base_step):
            outer = slice(first, min(first + base_step, len(logits)))
            base_logits = base(outer) if base else None
            for start in range(outer.start, outer.stop, step):
                part = slice(start, min(start + step, outer.stop))
                inner = slice(part.start - first, part.stop - first)
                _chunk(
                    logits[part].float(),
                    labels[part],
                    None if base is None else base_logits[inner].float(),
                    weights[:, part],
                    rows[:, part],
                    None if gradient is None else gradient[part],
                )
        if gradient is not None:
            ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(rows)
        return (weights * rows[[0, 2]]).sum(), rows

    @staticmethod
    def backward(ctx, loss_gradient, _):
        """Scale the gradient in place: it is used once."""
        (gradient,) = ctx.saved_tensors
        return gradient.mul_(loss_gradient), None, None, None


def _chunk(x, labels, base_x, weights, rows, gradient) -> None:
    """Fill values (4, r) and gradient (r, X) of a chunk of rows (r, X).

    X is V, or more where a design adds ids to those of the text LM, (r, V).
    """
    index = labels[:, None]
    most, powers, total = _softmax_parts(x)  # e^x = powers e^most
    target, nats = x.gather(1, index), total.log() + most
    rows[0] = (nats - target)[:, 0]
    rows[1] = (target == most)[:, 0]
    rows[2] = nats[:, 0]
    size = x.size(1) if base_x is None else base_x.size(1)
    text_nats, text_powers, text_total = nats, powers, total
    if size < x.size(1):  # the divergence is over the ids of the text LM alone
        text_most, text_powers, text_total = _softmax_parts(x[:, :size])
        text_nats = text_total.log() + text_most
    if base_x is not None:
        base_most, base_powers, base_total = _softmax_parts(base_x)
        gaps = torch.linalg.vecdot(base_powers, base_x - x[:, :size], dim=1)[:, None]
        base_nats = base_total.log() + base_most
        rows[2] = (gaps / base_total + text_nats - base_nats)[:, 0]
        rows[3] = (base_nats - base_x.gather(1, index.clamp(max=size - 1)))[:, 0]
    if gradient is None:
        return
    ce, kl = weights[0, :, None], weights[1, :, None]
    slope = powers.mul_((ce + kl * (size == x.size(1))) / total)  # (r, X)
    if size < x.size(1):
        slope[:, :size].addcmul_(text_powers, kl / text_total)
    if base_x is not None:
        slope[:, :size].addcmul_(base_powers, kl / base_total, value=-1)
    gradient.copy_(slope.scatter_add_(1, index, -ce))


def _softmax_parts(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Largest logit (r, 1), powers of e relative to it (r, V), their sum (r, 1)."""
    most = x.amax(dim=1, keepdim=True)
    powers = (x - most).exp_()
    return most, powers, powers.sum(dim=1, keepdim=True)
