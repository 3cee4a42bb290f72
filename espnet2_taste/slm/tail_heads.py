"""Units that no row holds: predicted from the hidden states of the text (LLaMA-Omni).

Enters: hidden states of the rows that read text, (B, N, H). Leaves: a CTC loss over
their upsampled copies, or the units themselves.

Legend: B utterances, N rows, U units, H hidden size, L upsampled rows (ratio x N).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from espnet2_taste.masks import length_mask


@dataclass(frozen=True)
class TailLoss:
    """Loss of a tail.

    Attributes:
        per_utterance: Nats of all its units, (B,); zero where it is infeasible.
        feasible: The rows are enough for the units, (B,) bool.
    """

    per_utterance: torch.Tensor
    feasible: torch.Tensor


class AbsTailHead(nn.Module, ABC):
    """Predicts units beside the rows.

    Args:
        hidden_size: H.
        num_units: Units.
    """

    def __init__(self, hidden_size: int, num_units: int):
        super().__init__()

    @abstractmethod
    def loss(
        self,
        hidden: torch.Tensor,
        lengths: torch.Tensor,
        units: torch.Tensor,
        units_lengths: torch.Tensor,
    ) -> TailLoss:
        """Compare with the units.

        Args:
            hidden: (B, N, H).
            lengths: (B,).
            units: (B, U), any value after the end.
            units_lengths: (B,).
        """

    @abstractmethod
    def decode(
        self, read: Callable[[], torch.Tensor], first: torch.Tensor, last: torch.Tensor
    ) -> list[tuple[int, ...]]:
        """Find the units of some rows.

        Args:
            read: Runs the LM and gives the hidden states, (B, N, H); it is called only
                if they are needed.
            first: First row of each utterance whose units are wanted, (B,).
            last: The row after the last one, (B,).
        """


class NoTail(AbsTailHead):
    """For layouts whose rows hold everything."""

    def loss(self, hidden, lengths, units, units_lengths):
        """See :meth:`AbsTailHead.loss`: nothing."""
        zero = hidden.new_zeros(len(hidden))
        return TailLoss(zero, torch.ones_like(zero, dtype=torch.bool))

    def decode(self, read, first, last):
        """See :meth:`AbsTailHead.decode`: nothing, and the LM does not run."""
        return [()] * len(first)


class CtcTail(AbsTailHead):
    """Copies of each hidden state, a few causal layers, CTC.

    Attention is causal, so units can be spoken while the text is still being written.
    An utterance with more units than upsampled rows has no CTC path; it is counted and
    adds nothing to the loss. Rows are never stretched to fit.

    Args:
        hidden_size: H.
        num_units: Units; the blank is one more.
        ratio: Copies of each row.
        num_layers: Layers of a Llama with rotary positions.
        num_heads: Attention heads.
    """

    def __init__(
        self,
        hidden_size: int,
        num_units: int,
        ratio: int = 25,
        num_layers: int = 2,
        num_heads: int = 4,
    ):
        super().__init__(hidden_size, num_units)
        from transformers import LlamaConfig, LlamaModel

        self.ratio, self.blank = ratio, num_units
        config = LlamaConfig(
            vocab_size=1,
            hidden_size=hidden_size,
            intermediate_size=4 * hidden_size,
            num_hidden_layers=num_layers,
            num_attention_heads=num_heads,
            num_key_value_heads=num_heads,
        )
        self.layers = LlamaModel(config)
        self.layers.embed_tokens = nn.Identity()
        self.output = nn.Linear(hidden_size, num_units + 1)

    def log_probabilities(self, hidden: torch.Tensor) -> torch.Tensor:
        """Log probability of each unit and the blank, (B, N, H) -> (B, L, U + 1)."""
        copies = hidden.float().repeat_interleave(self.ratio, dim=1)  # (B, L, H)
        states = self.layers(inputs_embeds=copies, use_cache=False).last_hidden_state
        return self.output(states).log_softmax(dim=-1)

    def loss(self, hidden, lengths, units, units_lengths):
        """See :meth:`AbsTailHead.loss`; equal neighbours need a blank between them."""
        known = length_mask(units_lengths, units.size(1))
        units = units.masked_fill(~known, 0)
        repeats = ((units[:, 1:] == units[:, :-1]) & known[:, 1:]).sum(dim=1)
        feasible = lengths * self.ratio >= units_lengths + repeats
        nats = functional.ctc_loss(
            self.log_probabilities(hidden).transpose(0, 1),  # (L, B, U + 1)
            units,
            lengths * self.ratio,
            units_lengths,
            blank=self.blank,
            reduction="none",
            zero_infinity=True,
        )
        return TailLoss(torch.where(feasible, nats, nats * 0.0), feasible)

    def decode(self, read, first, last):
        """See :meth:`AbsTailHead.decode`: likeliest, collapsed, without blanks."""
        if not int(last.max()):
            return [()] * len(first)
        best = self.log_probabilities(read()).argmax(dim=-1).tolist()
        bounds = zip((first * self.ratio).tolist(), (last * self.ratio).tolist())
        return [self.collapse(row[a:b]) for row, (a, b) in zip(best, bounds)]

    def collapse(self, path: list[int]) -> tuple[int, ...]:
        """Leave one of each run, then drop the blanks."""
        before = [self.blank, *path]
        return tuple(
            unit for last, unit in zip(before, path) if unit not in (last, self.blank)
        )
