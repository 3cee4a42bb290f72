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
from espnet2_taste.ranks import joint_mean
from espnet2_taste.slm.abs_core import (
    AbsCore,
    AbsRowInputs,
    BaseRows,
    GroupLosses,
    comparison_weights,
)
from espnet2_taste.slm.backbone import AbsBackbone
from espnet2_taste.slm.grid_embedding import GridEmbedding
from espnet2_taste.slm.grid_heads import AbsGridHead
from espnet2_taste.slm.layouts.abs_layout import HOLE, AbsGridLayout, run_grammar
from espnet2_taste.slm.layouts.streams import INSIDE, START, TAIL, text_of
from espnet2_taste.slm.losses import (
    cell_nats,
    compact,
    kl_to_base,
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
        super().__init__(backbone, layout, bos_id)
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
            lambda: self.forward(grid)[1][:, 1:], first, lengths
        )

    def losses(self, batch, kl_weight, base, kl_every=1):
        """See :meth:`AbsCore.losses`; groups of the streams, and tail.

        Means are weighted by the cells' own weights. The divergence is over the text
        of the first stream.
        """
        grid, padding = batch["grid"], batch["padding"]
        logits, hidden = self(grid)
        nats = cell_nats(logits, grid)
        groups = {
            group: weighted_mean(nats[..., own], batch["weights"][..., own])
            for group, own in self.columns.items()
        }
        stats = self.cell_stats(logits, nats, grid, padding)
        if kl_weight:
            first = self.layout.streams[0]
            text = self.text_mask(grid)[..., 0] & (padding[..., 0] != 1)
            text &= grid[..., 0] < first.text_size
            kl = self.divergence(logits[0], grid[..., 0], text, base, kl_every)
            ce = groups[first.group]
            groups[first.group] = (1.0 - kl_weight) * ce + kl_weight * kl
            stats["loss_text_kl"] = kl.detach()
        given = (batch["grid_lengths"], batch["tail"], batch["tail_lengths"])
        tail = self.tail_loss(hidden, *given)
        a_unit = tail.per_utterance / batch["tail_lengths"].clamp(min=1)
        groups[TAIL] = weighted_mean(a_unit, tail.feasible)
        stats["infeasible"] = 1.0 - tail.feasible.float().mean()
        stats["rows"] = batch["grid_lengths"].float().mean()
        return GroupLosses(groups, stats)

    def divergence(
        self,
        logits: torch.Tensor,
        ids: torch.Tensor,
        is_text: torch.Tensor,
        base: BaseRows,
        every: int,
    ) -> torch.Tensor:
        """KL(base || model) over the text cells of one stream, END among them.

        The base LM reads the text alone. The model's distribution is that over the ids
        of the text LM. Cells that are not text are left out (the published code keeps
        only these by mistake).

        Args:
            logits: Of the stream, (B, T, X).
            ids: Of the stream, (B, T).
            is_text: Cells that are text or END, (B, T) bool.
            base: Gives the base LM's states.
            every: One utterance of so many is compared, and counts so many times.

        Returns:
            Mean over the cells, a scalar; see ``losses.weighted_mean``.
        """
        count = is_text.sum()
        weights = comparison_weights(len(ids), every, ids.device)
        chosen = weights.nonzero()[:, 0]
        rows, exists, expected = self.base_text(ids[chosen], is_text[chosen], base)
        size = min(expected.size(-1), logits.size(-1))
        model = logits[chosen[:, None], rows, :size]  # (B', N, V)
        nats = kl_to_base(model, expected[..., :size]).where(exists, 0.0)
        return joint_mean(weights[chosen] @ nats.sum(dim=1), count)

    def base_text(
        self, ids: torch.Tensor, is_text: torch.Tensor, base: BaseRows
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Ask the base LM, which reads the text alone, for the text cells of a stream.

        Args:
            ids: Of the stream, (B, T).
            is_text: Cells that are text or END, (B, T) bool.
            base: Gives the base LM's states.

        Returns:
            Their rows (B, N), which of the N exist (B, N), and logits (B, N, V).
        """
        rows, exists = compact(is_text)
        text = ids.gather(1, rows).masked_fill(~exists, 0)  # (B, N)
        states = base(text[:, :-1], (exists.sum(dim=1) - 1).clamp(min=0))  # (B, N, H)
        return rows, exists, self.backbone.base_logits(states[:, : text.size(1)])

    def guided(
        self, logits: torch.Tensor, ids: torch.Tensor, guidance: float
    ) -> torch.Tensor:
        """Mix the base LM's text into the cells of a stream that are text.

        Args:
            logits: Of the stream, (B, T, X).
            ids: Of the stream, (B, T).
            guidance: See :meth:`scores`.

        Returns:
            (B, T, X).
        """
        text = self.layout.inventory.text
        mixture = self.mixture(guidance, len(text.starts), text.end_id)
        is_text = torch.from_numpy(text.kinds[START] | text.kinds[INSIDE])
        inside = (ids >= 0) & (ids < mixture.text_size)
        is_text = is_text.to(ids.device)[ids.where(inside, 0)] & inside
        rows, exists, base = self.base_text(
            ids, is_text, lambda known, _: self.base_states(known)
        )
        utts, places = exists.nonzero().unbind(dim=1)
        cells = (utts, rows[utts, places])
        mixed = logits.clone()
        mixed[cells] = mixture(logits[cells], base[utts, places])
        return mixed

    def text_mask(self, grid: torch.Tensor) -> torch.Tensor:
        """Cells that count as text, (B, T, S) bool."""
        columns = []
        for index, stream in enumerate(self.layout.streams):
            is_text = torch.from_numpy(stream.is_text).to(grid.device)
            ids = grid[..., index]
            columns.append(is_text[ids.clamp(min=0)] & (ids >= 0))
        return torch.stack(columns, dim=-1)

    @torch.no_grad()
    def cell_stats(self, logits, nats, grid, padding) -> dict[str, torch.Tensor]:
        """Loss and accuracy of text and of speech, and the share of padding.

        Args:
            logits: Of each stream.
            nats: Cross entropy, (B, T, S).
            grid: (B, T, S).
            padding: (B, T, S).

        Returns:
            Statistics by name, the same names whatever the batch holds.
        """
        best = torch.stack([scores.argmax(dim=-1) for scores in logits], dim=-1)
        hits = (best == grid).float()
        text, real = self.text_mask(grid), grid >= 0
        filled = real & (padding != 1)
        return {
            "loss_text": masked_mean(nats, filled & text),
            "loss_speech": masked_mean(nats, filled & ~text),
            "acc_text": masked_mean(hits, filled & text),
            "acc_speech": masked_mean(hits, filled & ~text),
            "padding_share": masked_mean((padding == 1).float(), real),
        }

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
        logits, hidden = self(grid)
        if mask_other_vocab:
            logits = self.mask_other_kind(logits, grid)
        if guidance and self.layout.streams[0].text_size:
            logits[0] = self.guided(logits[0], grid[..., 0], guidance)
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
