"""Losses of the text, one log-softmax a term."""

import torch
import torch.nn.functional as F


def kl_to_base(logits: torch.Tensor, base_logits: torch.Tensor) -> torch.Tensor:
    """Divergence KL(base || model) of each row's text distribution.

    Args:
        logits: Of the trained model, (B, L, V).
        base_logits: Of the frozen base LM on the same text, (B, L, V).

    Returns:
        Nats, (B, L).
    """
    log_p = F.log_softmax(logits.float(), dim=-1)
    log_base = F.log_softmax(base_logits.float(), dim=-1)
    return (log_base.exp() * (log_base - log_p)).sum(dim=-1)
