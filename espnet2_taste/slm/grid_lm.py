"""One language model for every sequence layout: grids of ids to logits.

Enters: rows of ids (B, T, S) of a layout. Leaves: for every cell the logits of what it
may be, given all rows before it (and, with a depth head, the cells before it in its
row); for layouts with a tail, its loss or its units.

    hidden = LM(start, row 0 .. row T-2); cell (t, s) from head(hidden[t], cells < s)

Legend: B utterances, T rows, S streams, X ids of a stream, V ids of the text LM,
H hidden size, U units of a tail.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from espnet2_taste.masks import length_mask
from espnet2_taste.slm.abs_core import (
    AbsCore,
    AbsRowInputs,
    GroupLosses,
    TextCells,
)
from espnet2_taste.slm.backbone import AbsBackbone
from espnet2_taste.slm.grid_embedding import GridEmbedding
from espnet2_taste.slm.grid_heads import AbsGridHead
from espnet2_taste.slm.layouts.abs_layout import HOLE, AbsGridLayout, run_grammar
from espnet2_taste.slm.layouts.streams import TAIL, text_of
from espnet2_taste.slm.losses import (
    cell_nats,
    compact,
    masked_mean,
    weighted_mean,
)
from espnet2_taste.slm.prompts import PromptRows
from espnet2_taste.slm.sampling import NEVER
from espnet2_taste.slm.scoring import UtteranceScores
from espnet2_taste.slm.tail_heads import AbsTailHead, TailLoss


class IdInputs(AbsRowInputs):
    """Rows of ids, which need no memory.

    Args:
        core: A ``GridLM``.
    """

    def __init__(self, core: "GridLM"):
        self.core = core

    def __call__(self, row, codes):
        """See :meth:`AbsRowInputs.__call__`."""
        return self.core.embed_rows(row)


class GridLM(AbsCore):
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
        layout: AbsGridLayout,
        embedding: GridEmbedding,
        head: AbsGridHead,
        tail_head: AbsTailHead,
        bos_id: int,
    ):
        super().__init__(backbone, layout, bos_id, layout.inventory.text.end_id)
        self.text_group = layout.streams[0].group
        self.embedding = embedding
        self.head = head
        self.tail_head = tail_head
        groups = [stream.group for stream in layout.streams]
        self.columns = {
            group: [s for s, own in enumerate(groups) if own == group]
            for group in dict.fromkeys(groups)
        }
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
        states, hidden = self.states(grid)
        return [self.logits(s, state) for s, state in enumerate(states)], hidden

    def states(self, grid: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """What each stream is predicted from, and all states; see :meth:`forward`."""
        cells = self.embedding.cells(grid, self.backbone)  # S times (B, T, H)
        rows = self.embedding.fusion(cells)
        rows = torch.cat([self.embedding.begin(len(grid)), rows], dim=1)
        hidden = self.backbone(rows).last.float()  # (B, T + 1, H)
        return self.head(hidden[:, :-1], cells), hidden

    @property
    def text_size(self):
        """See :attr:`AbsCore.text_size`: of the first stream."""
        return self.layout.streams[0].text_size

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
            text = self.backbone.logits(state)[..., :text_size]
            parts.append(text.float())
        if str(stream) in self.outputs:
            parts.append(self.outputs[str(stream)](state))
        return torch.cat(parts, dim=-1)

    def next_logits(self, hidden, row):
        """See :meth:`AbsCore.next_logits`."""
        pairs = enumerate(row)
        cells = [self.embedding.cell(s, ids, self.backbone) for s, ids in pairs]
        return self.logits(len(row), self.head(hidden, cells)[len(row)])

    def embed_rows(self, grid: torch.Tensor) -> torch.Tensor:
        """What the LM reads in rows, (B, T, S) -> (B, T, H)."""
        return self.embedding.fusion(self.embedding.cells(grid, self.backbone))

    def row_inputs(self, grammar):
        """See :meth:`AbsCore.row_inputs`."""
        return IdInputs(self)

    def prompt(self, ids: np.ndarray) -> PromptRows:
        """A prompt as the LM reads it.

        Args:
            ids: With holes, (P, S); P may be 0.

        Raises:
            ValueError: The grammar of the layout does not allow it.
        """
        holes = np.flatnonzero((ids == HOLE).any(axis=1))
        count = int(holes[0]) if len(holes) else len(ids)
        device = self.embedding.start.device
        known = torch.from_numpy(ids[:count]).to(device)[None]
        begin = self.embedding.begin(1)
        inputs = torch.cat([begin, self.embed_rows(known).to(begin.dtype)], dim=1)
        rows = ids[:count].tolist()
        text = [i for row in rows for i in text_of(self.layout.streams, row)]
        return PromptRows(
            inputs=inputs[0],
            text=torch.tensor(text, dtype=torch.int64, device=device),
            state=run_grammar(self.layout, ids[:count]),
            rows=rows,
            known=ids[count:].tolist(),
        )

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
            lambda: self.states(grid)[1][:, 1:], first, lengths
        )

    def read(self, batch):
        """See :meth:`AbsCore.read`: what :meth:`states` gives."""
        return self.states(batch["grid"])

    def text_cells(self, batch, found):
        """See :meth:`AbsCore.text_cells`: the first stream, END among its text where
        it counts as such."""
        grid, filled = batch["grid"], batch["padding"][..., 0] != 1
        ids = grid[..., 0]
        is_text = self.text_mask(grid)[..., 0] & filled & (ids < self.text_size)
        words = is_text & (ids != self.eos_id)
        rows, exists = compact(words)
        return TextCells(
            states=found[0][0],
            labels=ids,
            weights=batch.get("weights", torch.ones_like(grid))[..., 0].float(),
            is_text=is_text,
            places=words.cumsum(dim=1) - words.long(),
            text=ids.gather(1, rows).masked_fill(~exists, 0),
            text_lengths=exists.sum(dim=1),
        )

    def speech_losses(self, batch, found):
        """See :meth:`AbsCore.speech_losses`; groups of the other streams, and tail.

        Means are weighted by the cells' own weights.
        """
        grid, weights, (states, hidden) = batch["grid"], batch["weights"], found
        groups, stats = {}, {}
        for group, own in self.columns.items():
            if self.text_size and own == [0]:
                continue
            logits = [self.logits(s, states[s]) for s in own]
            nats = cell_nats(logits, grid[..., own])
            groups[group] = weighted_mean(nats, weights[..., own])
            best = torch.stack([scores.argmax(dim=-1) for scores in logits], dim=-1)
            hits = (best == grid[..., own]).float()
            stats[f"{group}_acc"] = masked_mean(hits, weights[..., own] > 0)
        given = (batch["grid_lengths"], batch["tail"], batch["tail_lengths"])
        tail = self.tail_loss(hidden, *given)
        a_unit = tail.per_utterance / batch["tail_lengths"].clamp(min=1)
        groups[TAIL] = weighted_mean(a_unit, tail.feasible)
        stats["infeasible"] = 1.0 - tail.feasible.float().mean()
        stats["rows"] = batch["grid_lengths"].float().mean()
        padded = (batch["padding"] == 1).float()
        stats["padding_share"] = masked_mean(padded, grid >= 0)
        return GroupLosses(groups, stats)

    def text_mask(self, grid: torch.Tensor) -> torch.Tensor:
        """Cells that count as text, (B, T, S) bool."""
        columns = []
        for index, stream in enumerate(self.layout.streams):
            is_text = torch.from_numpy(stream.is_text).to(grid.device)
            ids = grid[..., index]
            columns.append(is_text[ids.clamp(min=0)] & (ids >= 0))
        return torch.stack(columns, dim=-1)

    def mask_other_kind(
        self, logits: Sequence[torch.Tensor], grid: torch.Tensor
    ) -> list[torch.Tensor]:
        """Leave a text cell only ids of text, and any other cell only the others.

        Args:
            logits: Of each stream, S times (B, T, X).
            grid: (B, T, S).

        Returns:
            Logits with ``NEVER`` at ids of the other kind.
        """
        masked = []
        for index, (stream, scores) in enumerate(zip(self.layout.streams, logits)):
            is_text = torch.from_numpy(stream.is_text).to(grid.device)
            label = is_text[grid[..., index].clamp(min=0)]
            masked.append(scores.masked_fill(label[..., None] != is_text, NEVER))
        return masked

    @torch.no_grad()
    def scores(self, batch, mask_other_vocab=False, guidance=0.0):
        """See :meth:`AbsCore.scores`; a tail is minus infinity without a CTC path."""
        grid, tail_lengths = batch["grid"], batch["tail_lengths"]
        states, hidden = found = self.read(batch)
        logits = [self.logits(s, state) for s, state in enumerate(states)]
        if mask_other_vocab:
            logits = self.mask_other_kind(logits, grid)
        if guidance and self.text_size:
            cells = self.text_cells(batch, found)
            base = self.base_states(cells.text)
            logits[0] = self.guided(logits[0], cells, base, guidance)
        scores = -cell_nats(logits, grid).flatten(1)  # (B, T x S)
        text = self.text_mask(grid).flatten(1)
        filled = ((grid >= 0) & (batch["padding"] != 1)).flatten(1)
        given = (batch["grid_lengths"], batch["tail"], tail_lengths)
        tails = self.tail_loss(hidden, *given)
        tail_scores = (-tails.per_utterance).masked_fill(~tails.feasible, NEVER)
        units = length_mask(tail_lengths, batch["tail"].size(1))
        each = (tail_scores / tail_lengths.clamp(min=1))[:, None].expand(units.shape)
        speech = torch.cat([scores, each], dim=1)
        speech_mask = torch.cat([filled & ~text, units], dim=1)
        return UtteranceScores(
            text=scores.where(filled & text, 0.0),
            text_mask=filled & text,
            speech=speech.where(speech_mask, 0.0),
            speech_mask=speech_mask,
        )
