"""The network of every spoken LM, TASLM among them: its parts, put together.

Enters: rows of ids (B, T, S + Q), as the design's layout writes them. Leaves: what each
cell is predicted from, given all rows before it (and, with a depth head, the cells
before it in its row), and logits. Losses are made of them in ``group_losses.py``,
likelihoods in ``scoring.py``::

    hidden = LM(begin, row 0 .. row T-2); cell (t, s) from head(hidden[t], cells < s)

The first S columns are streams of ids. Q more are the codes of words, of which the LM
reads a quantizer's vectors and which a head of their own predicts (``code_head``).
Units that no row holds are predicted by the ``tail_head``. What a design does not have
is a part that does nothing, or None.

Legend: B utterances, T rows, S streams, X ids of a stream, Q codebooks, N text tokens,
H hidden size, U units of a tail, V ids of the text LM.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from espnet2_taste.slm.backbone import AbsBackbone
from espnet2_taste.slm.grid_heads import AbsGridHead
from espnet2_taste.slm.guidance import TextMixture
from espnet2_taste.slm.heads import AbsTasteHead
from espnet2_taste.slm.layouts.abs_layout import HOLE, AbsLayout, run_grammar
from espnet2_taste.slm.layouts.streams import text_of
from espnet2_taste.slm.losses import compact
from espnet2_taste.slm.prompts import PromptRows
from espnet2_taste.slm.row_embedding import AbsRowEmbedding
from espnet2_taste.slm.tail_heads import AbsTailHead, TailLoss

Batch = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Reading:
    """What the LM found in a batch, each row predicted from those before it.

    Attributes:
        streams: What each stream is predicted from, S times (B, T, D).
        last: Hidden states, (B, T + 1, H); state t has read t rows.
        layers: Those that the head of the codes reads, each (B, T + 1, H).
    """

    streams: Sequence[torch.Tensor]
    last: torch.Tensor
    layers: Sequence[torch.Tensor]


@dataclass(frozen=True)
class TextCells:
    """The stream that holds the text of a batch, and perhaps more.

    Attributes:
        states: Hidden states that predict its cells, (B, T, H).
        labels: Its ids, (B, T), -1 without a target.
        weights: Of each cell's cross entropy, (B, T).
        is_text: Cells compared with the base LM, the end apart, (B, T) bool.
        places: Text tokens before each cell, (B, T).
        text: All text tokens, (B, N); any value after the end.
        text_lengths: (B,).
    """

    states: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    is_text: torch.Tensor
    places: torch.Tensor
    text: torch.Tensor
    text_lengths: torch.Tensor


class SpokenLMCore(nn.Module):
    """The text LM with everything around it that a design needs.

    Args:
        backbone: The adapted text LM.
        layout: What the rows mean; the text is in the first stream.
        embedding: Rows to what the LM reads.
        head: States of the streams.
        tail_head: Of what no row holds.
        bos_id: Text id that begins texts of the base LM.
        code_head: Of the codes of words; None for a design of ids alone.
    """

    def __init__(
        self,
        backbone: AbsBackbone,
        layout: AbsLayout,
        embedding: AbsRowEmbedding,
        head: AbsGridHead,
        tail_head: AbsTailHead,
        bos_id: int,
        code_head: AbsTasteHead | None = None,
    ):
        super().__init__()
        self.backbone = backbone
        self.layout = layout
        self.embedding = embedding
        self.head = head
        self.tail_head = tail_head
        self.code_head = code_head
        self.bos_id, self.eos_id = bos_id, layout.inventory.text.end_id
        self.uses_tangents = False
        self.outputs = nn.ModuleDict()
        for index, (size, stream) in enumerate(zip(head.sizes(), layout.streams)):
            if stream.size > stream.text_size:
                added = stream.size - stream.text_size
                self.outputs[str(index)] = nn.Linear(size, added)
        if not any(stream.text_size for stream in layout.streams):
            backbone.causal_lm.get_input_embeddings().requires_grad_(False)
            backbone.causal_lm.get_output_embeddings().requires_grad_(False)

    @property
    def quantizer(self) -> nn.Module | None:
        """Of the codes of words; None for a design of ids alone."""
        return self.embedding.quantizer

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return next(self.parameters()).device

    @property
    def layers(self) -> Sequence[int]:
        """Hidden states that the head of the codes reads beside the last one."""
        return self.code_head.layers if self.code_head else ()

    @property
    def speech_unit(self) -> str:
        """Unit of the speech when utterances are scored."""
        return self.code_head.score_unit if self.code_head else "nats"

    @property
    def text_size(self) -> int:
        """Ids of the text LM that the first stream has."""
        return self.layout.streams[0].text_size

    def forward(self, grid: torch.Tensor) -> list[torch.Tensor]:
        """Predict every cell of the streams with the truth as history.

        Args:
            grid: (B, T, S + Q), -1 at padding.

        Returns:
            Logits of each stream, S times (B, T, X).
        """
        return self.stream_logits(self.read(grid))

    def read(self, grid: torch.Tensor) -> Reading:
        """Run the LM on rows, (B, T, S + Q); see :meth:`forward`."""
        cells = self.embedding.cells(grid, self.backbone)  # S times (B, T, H)
        rows = self.begun(self.embedding.rows(cells, grid))
        hidden = self.backbone(rows, layers=self.layers)
        streams = self.head(hidden.last[:, :-1], cells)
        return Reading(streams, hidden.last, hidden.states)

    def rows(self, grid: torch.Tensor) -> torch.Tensor:
        """What the LM reads of rows (B, T, S + Q) and before them, (B, T + 1, H)."""
        cells = self.embedding.cells(grid, self.backbone)
        return self.begun(self.embedding.rows(cells, grid))

    def begun(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows behind the one that comes first, (B, T, H) -> (B, T + 1, H)."""
        begin = self.embedding.begin(self.backbone, self.bos_id)
        return torch.cat([begin.expand(len(rows), 1, -1), rows.to(begin.dtype)], dim=1)

    def stream_logits(self, found: Reading) -> list[torch.Tensor]:
        """Logits of all streams, S times (B, T, X)."""
        return [self.logits(s, state) for s, state in enumerate(found.streams)]

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
        cells = []
        if row:
            grid = torch.stack(list(row), dim=-1)
            cells = self.embedding.cells(grid, self.backbone)
        return self.logits(len(row), self.head(hidden, cells)[len(row)])

    def prompt(self, ids: np.ndarray) -> PromptRows:
        """A prompt of a design of ids as the LM reads it.

        Args:
            ids: With holes, (P, S); P may be 0.

        Raises:
            ValueError: The grammar of the layout does not allow it.
        """
        holes = np.flatnonzero((ids == HOLE).any(axis=1))
        count = int(holes[0]) if len(holes) else len(ids)
        rows = ids[:count].tolist()
        text = [i for row in rows for i in text_of(self.layout.streams, row)]
        return PromptRows(
            inputs=self.rows(torch.from_numpy(ids[:count]).to(self.device)[None])[0],
            text=torch.tensor(text, dtype=torch.int64, device=self.device),
            state=run_grammar(self.layout, ids[:count]),
            rows=rows,
            known=ids[count:].tolist(),
        )

    def tail_loss(self, batch: Batch, found: Reading) -> TailLoss:
        """Loss of the units beside the rows; the last row, END, is not read."""
        lengths = batch["grid_lengths"] - 1
        tail = (batch["tail"], batch["tail_lengths"])
        return self.tail_head.loss(found.last[:, 1:-1], lengths, *tail)

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
            lambda: self.backbone(self.rows(grid)).last[:, 1:], first, lengths
        )

    def predicted_codes(
        self, batch: Batch, found: Reading, noise: torch.Tensor | None = None
    ) -> tuple[Any, torch.Tensor, torch.Tensor]:
        """Predict the codes of words.

        Args:
            batch: Fields of the preprocessor.
            found: What the LM found in it.
            noise: Standard normal (R, C) for a latent head; drawn when absent.

        Returns:
            Prediction of R rows, their codes (R, Q), and which of all rows they are,
            (B, T) bool.
        """
        count = len(self.layout.streams)
        codes, padding = (batch[name][..., count:] for name in ("grid", "padding"))
        mask = ((codes >= 0) & (padding != 1)).any(dim=-1)
        states = [layer[:, :-1][mask] for layer in found.layers]
        return self.code_head(states, noise), codes[mask], mask

    def text_cells(self, batch: Batch, found: Reading) -> TextCells:
        """The stream that holds the text."""
        labels = batch["grid"][..., 0]
        weights = filled = batch["padding"][..., 0] != 1
        if self.layout.reference_compat:
            published = self.layout.published_labels(labels, batch["grid_lengths"])
            labels = published.where(filled, labels)
        elif "weights" in batch:
            weights = batch["weights"][..., 0]
        ends = filled & (labels == self.eos_id)
        words = (labels >= 0) & (labels < self.text_size) & ~ends
        rows, exists = compact(words)
        return TextCells(
            states=found.streams[0],
            labels=labels,
            weights=weights.float(),
            is_text=words & filled,
            places=words.cumsum(dim=1) - words.long(),
            text=labels.gather(1, rows).masked_fill(~exists, 0),
            text_lengths=exists.sum(dim=1),
        )

    def base_logits(self, states: torch.Tensor) -> torch.Tensor:
        """Logits of the base LM at its states (..., H), of the ids of the text LM that
        the stream of text has, (..., V)."""
        return self.backbone.base_logits(states)[..., : self.text_size]

    def guided(
        self,
        logits: torch.Tensor,
        cells: TextCells,
        base: torch.Tensor,
        guidance: float,
    ) -> torch.Tensor:
        """Mix the base LM's text into the cells that are text.

        Args:
            logits: Of the stream, (B, T, X).
            cells: Of the stream.
            base: :meth:`base_states` of its text, (B, N + 1, H).
            guidance: Share of the base LM, see ``slm/guidance.py``.

        Returns:
            (B, T, X).
        """
        mixture = self.mixture(guidance)
        if not guidance:
            return logits
        utts, rows = cells.is_text.nonzero(as_tuple=True)
        states = base[utts, cells.places[utts, rows]]
        mixed = logits.clone()
        mixed[utts, rows] = mixture(logits[utts, rows], self.base_logits(states))
        return mixed

    def mixture(self, share: float) -> TextMixture:
        """How text is guided by the base LM; see ``TextMixture``.

        Raises:
            ValueError: A share outside 0 to 1, or of a base LM that training changed.
        """
        if share and self.backbone.base_changes:
            raise ValueError(
                "guidance needs the base LM, which this model has not kept: set "
                "guidance to 0, or train with adaptation_conf.keep_base true"
            )
        return TextMixture(share, self.text_size, self.eos_id)

    def base_states(self, text: torch.Tensor) -> torch.Tensor:
        """Return the base LM's hidden states on the same text.

        Args:
            text: Text ids, (B, N); any value after the end.

        Returns:
            Of rows 0 .. N, (B, N + 1, H), without gradient; ``backbone.base_logits``
            turns them into logits.
        """
        bos = text.new_full((len(text), 1), self.bos_id)
        return self.backbone.base_states(torch.cat([bos, text.clamp(min=0)], dim=1))

    def keep_base_rows(self) -> None:
        """Say, before training, that :meth:`base_rows` are kept for later steps: where
        the stream of text has the text LM's ids alone, they need no logits then."""
        fixed = self.backbone.has_fixed_output()
        like = self.backbone.causal_lm.get_input_embeddings().weight[:0]
        size = self.next_logits(like, ()).size(1) if fixed else 0
        self.uses_tangents = fixed and size == self.backbone.vocab_size

    def base_rows(self, text: torch.Tensor) -> torch.Tensor:
        """Return what the losses need to know of the base LM.

        Args:
            text: Text ids, (B, N); any value after the end.

        Returns:
            Of rows 0 .. N, (B, N + 1, X), without gradient: states, or tangents at
            them.
        """
        states = self.base_states(text)
        if not self.uses_tangents:
            return states
        following = functional.pad(text.clamp(min=0), (0, 1), value=self.eos_id)
        rows = self.backbone.base_tangents(states.flatten(0, 1), following.flatten())
        return rows.view(*states.shape[:2], -1)
