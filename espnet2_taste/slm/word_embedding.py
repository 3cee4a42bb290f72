"""What the language model reads of text with the codes of words (TASLM).

Enters: rows of a text id and Q codes, (B, T, 1 + Q). Leaves: one vector a row,
(B, T, H): the embedding of the text and the vector of the word that came last, fused.

In generation the same is made row by row, prepared as far as it can be: the projection
of the input fusion is affine; where the embedding of a word is a sum over its codes as
well, both together are one look-up a code.

Legend: B utterances, T rows, Q codebooks, K codes, H hidden size of the LM, D
word-vector size of the quantizer, P size after the fusion's projection.
"""

from collections.abc import Callable
from copy import copy

import torch
from torch import nn
from torch.nn import functional

from espnet2_taste.slm.backbone import AbsBackbone, freeze
from espnet2_taste.slm.input_fusion import AbsCodeEmbedding, AbsInputFusion
from espnet2_taste.slm.layouts.streams import PAD
from espnet2_taste.slm.layouts.text_aligned import IGNORE, NOTHING
from espnet2_taste.slm.layouts.word_grammar import WordGrammar
from espnet2_taste.slm.row_embedding import AbsRowEmbedding, AbsRowInputs
from espnet2_taste.tokenizer.quantizers.codebooks import lone_codes


class WordEmbedding(AbsRowEmbedding):
    """Rows of text and codes.

    Args:
        quantizer: The trained TASTE quantizer; it is frozen here.
        code_embedding: Codes to a vector a row.
        input_fusion: Text and speech to the LM's input.
        end_id: Text id that ends speech, read as text padding.
    """

    def __init__(
        self,
        quantizer: nn.Module,
        code_embedding: AbsCodeEmbedding,
        input_fusion: AbsInputFusion,
        end_id: int,
    ):
        super().__init__(quantizer)
        self.code_embedding = code_embedding
        self.input_fusion = input_fusion
        self.end_id = end_id
        self.pad_text = nn.Parameter(torch.zeros(input_fusion.text_size))
        freeze(quantizer)

    def train(self, mode: bool = True):
        """Set the mode of what trains; the quantizer stays in evaluation mode."""
        super().train(mode)
        self.quantizer.eval()
        return self

    def begin(self, backbone, bos_id):
        """See :meth:`AbsRowEmbedding.begin`: the embedding of BOS, not fused."""
        return backbone.embed(torch.tensor(bos_id, device=self.pad_text.device))

    def cells(self, grid, backbone):
        """See :meth:`AbsRowEmbedding.cells`: padding and the end are text padding; in
        text around a turn the end is a token like others."""
        ids, around = grid[..., 0], (grid[..., 1:] == NOTHING).all(dim=-1)
        padding = (ids < 0) | (ids == self.end_id) & ~around
        text = backbone.embed(ids.clamp(min=0))
        return [torch.where(padding[..., None], self.pad_text.to(text.dtype), text)]

    def rows(self, cells, grid):
        """See :meth:`AbsRowEmbedding.rows`."""
        return self.fuse(cells[0], self.code_embedding(grid[..., 1:], self.quantizer))

    def row_inputs(self, backbone, grammar):
        """See :meth:`AbsRowEmbedding.row_inputs`."""
        return WordInputs(self, backbone, grammar)

    def fuse(self, text: torch.Tensor, speech: torch.Tensor) -> torch.Tensor:
        """Join text embeddings and word vectors in float32.

        Args:
            text: (..., H).
            speech: (..., D).

        Returns:
            (..., H) of the type of ``text``.
        """
        return self.join(text, self.project(speech))

    def project(self, speech: torch.Tensor) -> torch.Tensor:
        """Return what :meth:`join` takes of word vectors, (..., D) -> (..., P)."""
        return self.input_fusion.project(speech.float())

    def join(self, text: torch.Tensor, projected: torch.Tensor) -> torch.Tensor:
        """Join text embeddings (..., H) and projected word vectors (..., P)."""
        return self.input_fusion.join(text.float(), projected).to(text.dtype)


class WordInputs(AbsRowInputs):
    """Text with the vectors of words, which hold until the next ones arrive.

    Args:
        embedding: In evaluation mode; later changes of its weights go unnoticed.
        backbone: The text LM.
        grammar: Of the rows.
    """

    @torch.inference_mode()
    def __init__(
        self, embedding: WordEmbedding, backbone: AbsBackbone, grammar: WordGrammar
    ):
        self.embedding, self.backbone, self.grammar = embedding, backbone, grammar
        codes, quantizer = embedding.code_embedding, embedding.quantizer
        self.nothing = embedding.project(codes.pad)  # (P,)
        self.between = None
        if codes.between is not None:
            self.between = embedding.project(codes.between)

        def new(given: torch.Tensor) -> torch.Tensor:
            return embedding.project(codes.embed(given, quantizer))

        self.new: Callable[[torch.Tensor], torch.Tensor] = new
        if codes.is_sum(quantizer):
            lone = lone_codes(quantizer, codes.pad.device)
            self.new = CodeLookUp(new(lone), new(torch.full_like(lone[0, 0], -1)))

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
        ids = row[:, 0]
        text = self.backbone.embed(ids)  # (B, H)
        if self.grammar.pads_text:
            ended = (ids == self.grammar.inventory.text.end_id)[:, None]
            text = torch.where(ended, self.embedding.pad_text.to(text.dtype), text)
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
        return self.embedding.join(text, self.read)

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
