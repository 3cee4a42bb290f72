"""Vectors of the words of a generation, as far as they can be prepared.

Enters: a :class:`~espnet2_taste.slm.taslm.Taslm`, then codes (B, Q) of new words.
Leaves: vectors (B, P) for ``Taslm.join``. The projection of the input fusion is affine;
where the embedding of a word is a sum over its codes as well, both together are one
look-up a code. Prepared once for any number of batches.

Legend: B utterances under way, Q codebooks, K codes, D word-vector size of the
quantizer, P size after the fusion's projection.
"""

from collections.abc import Callable

import torch
from torch.nn import functional

from espnet2_taste.slm.taslm import Taslm
from espnet2_taste.tokenizer.quantizers.codebooks import lone_codes


class CodeEmbeddingCache:
    """Vectors of words, projected.

    Args:
        taslm: The model in evaluation mode; later changes of its weights go unnoticed.
    """

    @torch.inference_mode()
    def __init__(self, taslm: Taslm):
        embedding = taslm.code_embedding
        self.nothing = taslm.project(embedding.pad)  # (P,)
        self.between = None
        if embedding.between is not None:
            self.between = taslm.project(embedding.between)

        def new(codes: torch.Tensor) -> torch.Tensor:
            return taslm.project(embedding.embed(codes, taslm.quantizer))

        self.new: Callable[[torch.Tensor], torch.Tensor] = new
        if embedding.is_sum(taslm.quantizer):
            codes = lone_codes(taslm.quantizer, embedding.pad.device)
            self.new = CodeLookUp(new(codes), new(torch.full_like(codes[0, 0], -1)))

    def hold(self, vectors: torch.Tensor) -> torch.Tensor:
        """Vectors of rows where words go on, given those of the words, (B, P)."""
        return vectors if self.between is None else self.between.expand_as(vectors)


class CodeLookUp:
    """Sums of one vector a code and a constant.

    Args:
        lone: What each code gives when the other codebooks are absent, (Q, K, P).
        absent: What no code at all gives, (P,).
    """

    def __init__(self, lone: torch.Tensor, absent: torch.Tensor):
        tables = lone - absent
        tables[0] += absent
        self.table = tables.flatten(0, 1)  # (Q K, P)
        size = lone.size(1)
        self.starts = torch.arange(0, len(self.table), size, device=lone.device)

    def __call__(self, codes: torch.Tensor) -> torch.Tensor:
        """(B, Q) -> (B, P); arbitrary where codes are absent."""
        rows = codes.clamp(min=0) + self.starts
        return functional.embedding_bag(rows, self.table, mode="sum")
