"""How the text LM reads a batch during generation: prompts first, then row by row.

Enters: input embeddings of prompts (B, P, H), then one row a prompt (B, H) at a time.
Leaves: hidden states of the last row of each. What earlier rows left behind (keys and
values) stays in the cache of the Hugging Face model.

Legend: B prompts under way, P rows of the longest prompt, H hidden size, V text
vocabulary.
"""

from collections.abc import Sequence

import torch

from espnet2_taste.masks import length_mask
from espnet2_taste.slm.backbone import AbsBackbone

States = tuple[torch.Tensor, ...]


class RowReader:
    """Reads one batch of prompts and what follows them.

    Args:
        backbone: The adapted text LM.
        layers: Hidden states to return, 0 the embeddings.
    """

    def __init__(self, backbone: AbsBackbone, layers: Sequence[int]):
        self.backbone = backbone
        self.layers = layers

    def start(self, inputs: torch.Tensor, lengths: torch.Tensor) -> States:
        """Read prompts.

        Args:
            inputs: Embedded rows, padded on the right, (B, P, H).
            lengths: Rows of each prompt, (B,).

        Returns:
            Of the last row of each prompt: the hidden states asked for, then the one
            after the final norm, each (B, H).
        """
        self.lengths = lengths
        equal = bool((lengths == lengths[0]).all())
        self.mask = None if equal else length_mask(lengths, inputs.size(1))
        output = self.backbone(inputs, layers=self.layers, use_cache=True)
        self.cache = output.cache
        rows = torch.arange(len(inputs), device=inputs.device)
        return tuple(s[rows, lengths - 1] for s in (*output.states, output.last))

    def read(self, row: torch.Tensor) -> States:
        """Read one more row of every prompt under way, (B, H); states as above."""
        if self.mask is not None:
            self.mask = torch.nn.functional.pad(self.mask, (0, 1), value=True)
        output = self.backbone(
            row[:, None],
            layers=self.layers,
            attention_mask=self.mask,
            position_ids=self.lengths[:, None],
            cache=self.cache,
            use_cache=True,
        )
        self.lengths = self.lengths + 1
        self.cache = output.cache
        return tuple(state[:, 0] for state in (*output.states, output.last))

    def logits(self, last: torch.Tensor) -> torch.Tensor:
        """Text logits of the state after the final norm, (B, H) -> (B, V)."""
        return self.backbone.logits(last)

    def select(self, kept: torch.Tensor) -> None:
        """Keep only some prompts, given as indices (B',)."""
        self.cache.batch_select_indices(kept)
        self.mask = None if self.mask is None else self.mask[kept]
        self.lengths = self.lengths[kept]
