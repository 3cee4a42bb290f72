"""One language model for every sequence layout: grids of ids to logits.

Enters: rows of ids (B, T, S) of a layout. Leaves: for every cell the logits of what it
may be, given all rows before it (and, with a depth head, the cells before it in its
row); for layouts with a tail, its loss or its units.

    hidden = LM(start, row 0 .. row T-2); cell (t, s) from head(hidden[t], cells < s)

Legend: B utterances, T rows, S streams, X ids of a stream, V ids of the text LM,
H hidden size, U units of a tail.
"""

from collections.abc import Sequence

import torch
from torch import nn

from espnet2_taste.slm.backbone import AbsBackbone
from espnet2_taste.slm.grid_embedding import GridEmbedding
from espnet2_taste.slm.grid_heads import AbsGridHead
from espnet2_taste.slm.layouts.abs_layout import AbsLayout
from espnet2_taste.slm.tail_heads import AbsTailHead, TailLoss


class GridLM(nn.Module):
    """Language model over the rows of a layout.

    Args:
        backbone: The adapted text LM.
        layout: What the rows mean.
        embedding: Of cells and rows.
        head: States of the streams.
        tail_head: Of what no row holds.
        bos_id: Text id that begins texts of the base LM.
    """

    def __init__(
        self,
        backbone: AbsBackbone,
        layout: AbsLayout,
        embedding: GridEmbedding,
        head: AbsGridHead,
        tail_head: AbsTailHead,
        bos_id: int,
    ):
        super().__init__()
        self.backbone = backbone
        self.layout = layout
        self.embedding = embedding
        self.head = head
        self.tail_head = tail_head
        self.bos_id = bos_id
        self.outputs = nn.ModuleDict()
        for index, (size, stream) in enumerate(zip(head.sizes(), layout.streams)):
            if stream.size > stream.text_size:
                added = stream.size - stream.text_size
                self.outputs[str(index)] = nn.Linear(size, added)
        if not any(stream.text_size for stream in layout.streams):
            backbone.causal_lm.get_input_embeddings().requires_grad_(False)
            backbone.causal_lm.get_output_embeddings().requires_grad_(False)

    def forward(self, grid: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Predict every cell with the truth as history.

        Args:
            grid: (B, T, S), -1 at padding.

        Returns:
            Logits of each stream, S times (B, T, X), and hidden states (B, T + 1, H);
            state t has read t rows.
        """
        cells = self.embedding.cells(grid, self.backbone)  # S times (B, T, H)
        rows = self.embedding.fusion(cells)
        rows = torch.cat([self.embedding.begin(len(grid)), rows], dim=1)
        hidden = self.backbone(rows).last.float()  # (B, T + 1, H)
        states = self.head(hidden[:, :-1], cells)
        return [self.logits(s, state) for s, state in enumerate(states)], hidden

    def logits(self, stream: int, state: torch.Tensor) -> torch.Tensor:
        """Logits of one stream.

        Args:
            stream: Its index.
            state: Of the head, (..., D).

        Returns:
            (..., X): ids of the text LM, then those that the design adds.
        """
        parts, text_size = [], self.layout.streams[stream].text_size
        if text_size:
            weight = self.backbone.causal_lm.get_output_embeddings().weight
            text = self.backbone.logits(state.to(weight.dtype))[..., :text_size]
            parts.append(text.float())
        if str(stream) in self.outputs:
            parts.append(self.outputs[str(stream)](state))
        return torch.cat(parts, dim=-1)

    def next_logits(
        self, hidden: torch.Tensor, row: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Logits of the next cell of a row.

        Args:
            hidden: State before the row, (B, H).
            row: Cells written so far, n times (B,).

        Returns:
            (B, X) of stream n.
        """
        pairs = enumerate(row)
        cells = [self.embedding.cell(s, ids, self.backbone) for s, ids in pairs]
        return self.logits(len(row), self.head(hidden, cells)[len(row)])

    def embed_rows(self, grid: torch.Tensor) -> torch.Tensor:
        """What the LM reads in rows, (B, T, S) -> (B, T, H)."""
        return self.embedding.fusion(self.embedding.cells(grid, self.backbone))

    def tail_loss(
        self,
        hidden: torch.Tensor,
        lengths: torch.Tensor,
        tail: torch.Tensor,
        tail_lengths: torch.Tensor,
    ) -> TailLoss:
        """Loss of the units beside the rows.

        Args:
            hidden: Of :meth:`forward`, (B, T + 1, H).
            lengths: Rows of each utterance, (B,); the last one, END, is not read.
            tail: (B, U).
            tail_lengths: (B,).
        """
        return self.tail_head.loss(hidden[:, 1:-1], lengths - 1, tail, tail_lengths)

    @torch.no_grad()
    def tail_units(
        self, grid: torch.Tensor, lengths: torch.Tensor, first: torch.Tensor
    ) -> list[tuple[int, ...]]:
        """Units that the tail head predicts from rows.

        Args:
            grid: (B, T, S), -1 at padding; without END.
            lengths: (B,).
            first: Row of each utterance from which on its units are wanted, (B,).

        Returns:
            Units of each utterance.
        """
        return self.tail_head.decode(
            lambda: self.forward(grid)[1][:, 1:], first, lengths
        )
