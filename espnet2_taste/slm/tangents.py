"""Divergence from the base LM in every step after one look at its logits.

Enters: hidden states of the base LM. Leaves: H + 2 numbers a row, which are enough for
the divergence of a model whose logits x(h) are the same function of its own hidden
states. Where x is affine, A(h) = log sum_v e^{x_v(h)} is convex and

    KL(base || model) = A(h) - A(h_base) - A'(h_base) (h - h_base)

(the divergence of two members of an exponential family, Banerjee et al. 2005,
section 4): what A(h) is above its tangent at the base's state. A(h) is at hand where
cross entropy is computed, so neither the base's logits nor their softmax are needed.

Legend: R rows, H hidden size, V text vocabulary.
"""

from collections.abc import Callable
from dataclasses import replace

import torch

from espnet2_taste.slm.text_loss import (
    BASE_CHUNK,
    TextLoss,
    TextTargets,
    states_loss,
)

Head = Callable[[torch.Tensor], torch.Tensor]
"""Hidden states to logits, (R, H) -> (R, V)."""
FAR = 1e3
"""Length of the states at which a head shows whether it is affine."""


@torch.no_grad()
def is_affine(head: Head, like: torch.Tensor) -> bool:
    """Whether logits are an affine function of the hidden states.

    Args:
        head: Hidden states to logits.
        like: Any hidden state, (H,).
    """
    state = FAR * torch.linspace(-1, 1, len(like)).to(like)
    zero, half, opposite = head(torch.stack([0 * state, state / 2, -state]))
    return torch.allclose(2 * (half - zero), zero - opposite, rtol=1e-3, atol=1e-2)


def base_tangents(
    head: Head, states: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Tangents of A at the base LM's states, and its cross entropy.

    Args:
        head: Affine.
        states: Of the base LM, (R, H).
        labels: Text ids whose cross entropy is wanted, (R,).

    Returns:
        Slope, value at h = 0 and cross entropy in nats, (R, H + 2).
    """
    found = states.new_empty(len(states), states.size(1) + 2)
    step = max(1, BASE_CHUNK // head(states[:0]).size(1))
    for start in range(0, len(states), step):
        part = slice(start, start + step)
        with torch.enable_grad():
            here = states[part].detach().requires_grad_()
            logits = head(here)
        shares = logits.detach().softmax(dim=1)
        value = logits.detach().amax(dim=1) - shares.amax(dim=1).log()  # A(here)
        (slope,) = torch.autograd.grad(logits, here, shares)
        target = logits.detach().gather(1, labels[part, None])[:, 0]
        found[part, :-2] = slope
        found[part, -2] = value - torch.linalg.vecdot(slope, states[part])
        found[part, -1] = value - target
    return found


def tangent_loss(
    states: torch.Tensor,
    head: Head,
    vocab_size: int,
    targets: TextTargets,
    tangents: torch.Tensor,
) -> TextLoss:
    """What ``states_loss`` gives with the base LM's logits.

    Args:
        states: (R, H).
        head: Affine.
        vocab_size: V.
        targets: Of R rows.
        tangents: Of :func:`base_tangents`, (R, H + 2).

    Returns:
        See ``states_loss``.
    """
    found = states_loss(states, head, vocab_size, targets)
    line = torch.linalg.vecdot(tangents[:, :-2], states) + tangents[:, -2]
    return replace(
        found,
        loss=found.loss - targets.kl_weights @ line,
        kl=found.kl - line.detach(),
        base_nll=tangents[:, -1],
    )
