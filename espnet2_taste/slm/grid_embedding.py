"""What the language model reads in a row of a grid: its cells, embedded and fused.

Enters: ids (B, T, S). Leaves: one vector a row, (B, T, H). Ids of the text LM keep the
LM's embedding; the ids that a design adds get a table of their own.

Legend: B utterances, T rows, S streams, X added ids, H hidden size; ``...`` any shape.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import nn

from espnet2_taste.slm.backbone import AbsBackbone
from espnet2_taste.slm.layouts.streams import TEXT, Stream


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


class GridEmbedding(nn.Module):
    """Embeds cells and rows.

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

    def cell(
        self, stream: int, ids: torch.Tensor, backbone: AbsBackbone
    ) -> torch.Tensor:
        """Embed the cells of one stream.

        Args:
            stream: Its index.
            ids: (...), -1 at padding.
            backbone: The text LM.

        Returns:
            (..., H); arbitrary at padding.
        """
        text_size, key = self.text_sizes[stream], str(stream)
        if key not in self.tables:
            return backbone.embed(ids.clamp(min=0)).to(self.start.dtype)
        added = self.tables[key]((ids - text_size).clamp(min=0))
        if not text_size:
            return added
        text = backbone.embed(ids.clamp(min=0, max=text_size - 1)).to(added.dtype)
        return torch.where((ids < text_size)[..., None], text, added)

    def cells(self, ids: torch.Tensor, backbone: AbsBackbone) -> list[torch.Tensor]:
        """Embed rows cell by cell, (..., S) -> S times (..., H)."""
        return [self.cell(s, ids[..., s], backbone) for s in range(ids.size(-1))]

    def begin(self, batch: int) -> torch.Tensor:
        """The row before the first one, (batch, 1, H)."""
        return self.start.expand(batch, 1, -1)
