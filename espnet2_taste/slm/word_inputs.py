"""What the LM reads of text with words, prepared as far as it can be.

Enters: a :class:`~espnet2_taste.slm.taslm.Taslm`, then rows with the codes (B, Q) of
new words. Leaves: inputs (B, H). The projection of the input fusion is affine;
where the embedding of a word is a sum over its codes as well, both together are one
look-up a code. Prepared once for any number of batches.

Legend: B utterances under way, Q codebooks, K codes, D word-vector size of the
quantizer, P size after the fusion's projection.
"""

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from espnet2_taste.slm.abs_core import AbsRowInputs
from espnet2_taste.slm.layouts.streams import PAD
from espnet2_taste.slm.layouts.text_aligned import IGNORE
from espnet2_taste.slm.layouts.word_grammar import WordGrammar
from espnet2_taste.tokenizer.quantizers.codebooks import lone_codes

if TYPE_CHECKING:
    from espnet2_taste.slm.taslm import Taslm


class WordInputs(AbsRowInputs):
    """Text with the vectors of words, which hold until the next ones arrive.

    Args:
        taslm: The model in evaluation mode; later changes of its weights go unnoticed.
        grammar: Of the rows.
    """

    @torch.inference_mode()
    def __init__(self, taslm: "Taslm", grammar: WordGrammar):
        self.taslm, self.grammar = taslm, grammar
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

    def begin(self, prompts):
        """See :meth:`AbsRowInputs.begin`."""
        batch = copy(self)
        current = torch.stack([prompt.current for prompt in prompts])  # (B, Q)
        batch.vectors = batch.read = self.new(current)  # (B, P)
        batch.spoken = (current != IGNORE).any(dim=-1)
        return batch

    def select(self, kept):
        """See :meth:`AbsRowInputs.select`."""
        for name in ("vectors", "read", "spoken"):
            setattr(self, name, getattr(self, name)[kept])

    def __call__(self, row, codes):
        """See :meth:`AbsRowInputs.__call__`."""
        ids, taslm = row[:, 0], self.taslm
        text = taslm.backbone.embed(ids)  # (B, H)
        if self.grammar.pads_text:
            ended = (ids == self.grammar.inventory.text.end_id)[:, None]
            text = torch.where(ended, taslm.pad_text.to(text.dtype), text)
        arrives = (codes != IGNORE).any(dim=-1)
        new = self.new(codes)  # (B, P)
        if arrives.all():
            self.read = new
        else:
            held = self.hold(self.vectors)
            held = torch.where(self.spoken[:, None], held, self.nothing)
            if not self.grammar.pads_text:  # repeats what training never repeats
                idle = row[:, 1] == self.grammar.streams[1].id(PAD)
                held = torch.where(idle[:, None], self.read, held)
            self.read = torch.where(arrives[:, None], new, held)
        self.vectors = torch.where(arrives[:, None], new, self.vectors)
        self.spoken = self.spoken | arrives
        return taslm.join(text, self.read)

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
