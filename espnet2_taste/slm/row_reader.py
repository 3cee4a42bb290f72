"""How the text LM reads a batch during generation: prompts first, then row by row.

Enters: input embeddings of prompts (B, P, H), or text ids (B, P) for the base LM, then
one row a prompt (B, H) or (B,) at a time. Leaves: hidden states of the last row of
each. What earlier rows left behind (keys and values) stays in the cache of the Hugging
Face model.

Legend: B prompts under way, P rows of the longest prompt, H hidden size.
"""

from collections.abc import Callable, Sequence

import torch

from espnet2_taste.masks import length_mask
from espnet2_taste.slm.backbone import BackboneOutput

States = tuple[torch.Tensor, ...]


class RowReader:
    """Reads one batch of prompts and what follows them.

    Args:
        run: The adapted text LM (an ``AbsBackbone``) or its ``base_forward``.
        layers: Hidden states to return, 0 the embeddings.
    """

    def __init__(self, run: Callable[..., BackboneOutput], layers: Sequence[int] = ()):
        self.run = run
        self.layers = layers

    def start(self, inputs: torch.Tensor, lengths: torch.Tensor) -> States:
        """Read prompts.

        Args:
            inputs: Rows, padded on the right, (B, P, H) or (B, P).
            lengths: Rows of each prompt, (B,).

        Returns:
            Of the last row of each prompt: the hidden states asked for, then the one
            after the final norm, each (B, H).
        """
        self.lengths = lengths
        equal = bool((lengths == lengths[0]).all())
        self.mask = None if equal else length_mask(lengths, inputs.size(1))
        output = self.run(inputs, layers=self.layers, use_cache=True)
        self.cache = output.cache
        rows = torch.arange(len(inputs), device=inputs.device)
        return tuple(s[rows, lengths - 1] for s in (*output.states, output.last))

    def read(self, row: torch.Tensor, active: torch.Tensor | None = None) -> States:
        """Read one more row of the prompts under way.

        Args:
            row: (B, H) or (B,).
            active: Prompts that have such a row, (B,) bool; None for all.

        Returns:
            States as above; arbitrary where not active.
        """
        if active is None:
            active = torch.ones_like(self.lengths, dtype=torch.bool)
        elif self.mask is None:
            shape = (len(row), self.cache.get_seq_length())
            self.mask = torch.ones(shape, dtype=torch.bool, device=row.device)
        if self.mask is not None:
            self.mask = torch.cat([self.mask, active[:, None]], dim=1)
        output = self.run(
            row[:, None],
            layers=self.layers,
            attention_mask=self.mask,
            position_ids=self.lengths[:, None],
            cache=self.cache,
            use_cache=True,
        )
        self.lengths = self.lengths + active
        self.cache = output.cache
        return tuple(state[:, 0] for state in (*output.states, output.last))

    def select(self, kept: torch.Tensor) -> None:
        """Keep only some prompts, given as indices (B',)."""
        self.cache.batch_select_indices(kept)
        self.mask = None if self.mask is None else self.mask[kept]
        self.lengths = self.lengths[kept]
