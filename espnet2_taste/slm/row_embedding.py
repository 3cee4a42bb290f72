"""What the language model reads in a row: its cells, embedded and fused.

Enters: ids (B, T, S). Leaves: one vector a row, (B, T, H). Ids of the text LM keep the
LM's embedding; the ids that a design adds get a table of their own. Rows that also hold
the codes of words are in ``word_embedding.py``.

Legend: B utterances, T rows, S streams, X added ids, H hidden size; ``...`` any shape.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from espnet2_taste.slm.backbone import AbsBackbone
from espnet2_taste.slm.layouts.abs_layout import AbsGrammar
from espnet2_taste.slm.layouts.streams import TEXT, Stream

if TYPE_CHECKING:
    from espnet2_taste.slm.prompts import PromptRows


class AbsRowInputs(ABC):
    """What the LM reads of rows that are written."""

    def begin(self, prompts: Sequence["PromptRows"]) -> "AbsRowInputs":
        """The same for a batch, with what it must remember of each prompt."""
        return self

    def select(self, kept: torch.Tensor) -> None:
        """Keep only some prompts, given as indices."""

    @abstractmethod
    def __call__(self, row: torch.Tensor, codes: torch.Tensor | None) -> torch.Tensor:
        """Embed a row.

        Args:
            row: (B, S).
            codes: Codes that arrive with it, (B, Q), -1 where there are none.

        Returns:
            (B, H).
        """


class AbsRowEmbedding(nn.Module, ABC):
    """Embeds cells and rows.

    Args:
        quantizer: Of the codes of words; None where rows hold ids alone.
    """

    def __init__(self, quantizer: nn.Module | None = None):
        super().__init__()
        self.quantizer = quantizer

    @abstractmethod
    def begin(self, backbone: AbsBackbone, bos_id: int) -> torch.Tensor:
        """The row before the first one, (H,).

        Args:
            backbone: The text LM.
            bos_id: Text id that begins its texts.
        """

    @abstractmethod
    def cells(self, grid: torch.Tensor, backbone: AbsBackbone) -> list[torch.Tensor]:
        """Embed rows, or their first columns, cell by cell.

        Args:
            grid: (..., S + Q), -1 at padding.
            backbone: The text LM.

        Returns:
            S times (..., H); arbitrary at padding.
        """

    @abstractmethod
    def rows(self, cells: Sequence[torch.Tensor], grid: torch.Tensor) -> torch.Tensor:
        """Join the cells of rows.

        Args:
            cells: Of :meth:`cells`.
            grid: The rows, (B, T, S + Q).

        Returns:
            (B, T, H).
        """

    @abstractmethod
    def row_inputs(self, backbone: AbsBackbone, grammar: AbsGrammar) -> AbsRowInputs:
        """What the LM reads of rows of a grammar, prepared once for all batches."""


class AbsStreamFusion(nn.Module, ABC):
    """Joins the vectors of a row's streams.

    Args:
        streams: Of the layout.
    """

    def __init__(self, streams: Sequence[Stream]):
        super().__init__()
        self.num_streams = len(streams)

    @abstractmethod
    def weights(self) -> torch.Tensor:
        """Weight of each stream, (S,)."""

    def forward(self, vectors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Add up.

        Args:
            vectors: S vectors, each (..., H).

        Returns:
            (..., H).
        """
        return torch.stack(list(vectors), dim=-1) @ self.weights().to(vectors[0])


class SumStreams(AbsStreamFusion):
    """The sum (Moshi); with one stream, the vector itself."""

    def weights(self):
        """See :meth:`AbsStreamFusion.weights`."""
        return torch.ones(self.num_streams)


class MeanStreams(AbsStreamFusion):
    """The mean (Mini-Omni)."""

    def weights(self):
        """See :meth:`AbsStreamFusion.weights`."""
        return torch.full((self.num_streams,), 1.0 / self.num_streams)


class WeightedStreams(AbsStreamFusion):
    """A learned softmax over streams (the S3 baseline; published start -2 and 2).

    Args:
        streams: Of the layout.
        text_init: Start of the weight of text, before the softmax.
        speech_init: Start of the others.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        text_init: float = 2.0,
        speech_init: float = -2.0,
    ):
        super().__init__(streams)
        starts = [text_init if s.group == TEXT else speech_init for s in streams]
        self.scores = nn.Parameter(torch.tensor(starts))

    def weights(self):
        """See :meth:`AbsStreamFusion.weights`."""
        return self.scores.softmax(dim=0)


class IdInputs(AbsRowInputs):
    """Rows of ids, which need no memory.

    Args:
        embedding: A ``GridEmbedding``.
        backbone: The text LM.
    """

    def __init__(self, embedding: "GridEmbedding", backbone: AbsBackbone):
        self.embedding, self.backbone = embedding, backbone

    def __call__(self, row, codes):
        """See :meth:`AbsRowInputs.__call__`."""
        return self.embedding.fusion(self.embedding.cells(row, self.backbone))


class GridEmbedding(AbsRowEmbedding):
    """Rows of ids alone.

    Args:
        streams: Of the layout.
        backbone: The text LM, whose embeddings are used and whose scale is imitated;
            it is not kept.
        fusion: How the streams of a row are joined.
        bos_id: Text id whose embedding the learned first row starts from.
    """

    def __init__(
        self,
        streams: Sequence[Stream],
        backbone: AbsBackbone,
        fusion: AbsStreamFusion,
        bos_id: int,
    ):
        super().__init__()
        self.text_sizes = [stream.text_size for stream in streams]
        self.fusion = fusion
        own = backbone.causal_lm.get_input_embeddings().weight.detach().float()
        self.tables = nn.ModuleDict()
        for index, stream in enumerate(streams):
            if stream.size > stream.text_size:
                table = nn.Embedding(stream.size - stream.text_size, own.size(1))
                nn.init.normal_(table.weight, std=float(own.std()))
                self.tables[str(index)] = table
        self.start = nn.Parameter(own[bos_id].clone())

    def begin(self, backbone, bos_id):
        """See :meth:`AbsRowEmbedding.begin`: learned."""
        return self.start

    def cell(
        self, stream: int, ids: torch.Tensor, backbone: AbsBackbone
    ) -> torch.Tensor:
        """Embed the cells (...) of one stream, (..., H)."""
        text_size, key = self.text_sizes[stream], str(stream)
        if key not in self.tables:
            return backbone.embed(ids.clamp(min=0)).to(self.start.dtype)
        added = self.tables[key]((ids - text_size).clamp(min=0))
        if not text_size:
            return added
        text = backbone.embed(ids.clamp(min=0, max=text_size - 1)).to(added.dtype)
        return torch.where((ids < text_size)[..., None], text, added)

    def cells(self, grid, backbone):
        """See :meth:`AbsRowEmbedding.cells`."""
        columns = enumerate(grid.unbind(dim=-1))
        return [self.cell(s, ids, backbone) for s, ids in columns]

    def rows(self, cells, grid):
        """See :meth:`AbsRowEmbedding.rows`."""
        return self.fusion(cells)

    def row_inputs(self, backbone, grammar):
        """See :meth:`AbsRowEmbedding.row_inputs`."""
        return IdInputs(self, backbone)
