"""Continuations of prompts for every layout with a grammar: rows of the one loop.

Enters: a :class:`~espnet2_taste.slm.grid_lm.GridLM`, prompts with holes, options.
Leaves: whole grids. For each row and each stream of it: take the cell that is known,
or mask by the layout's grammar and sample. What comes out is always a beginning of a
grid of the layout, complete where it ended by itself.

Legend: B utterances under way, P rows of a prompt, T rows, S streams, X ids of a
stream, H hidden size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from espnet2_taste.slm.abs_generator import AbsGenerator, PromptBatch
from espnet2_taste.slm.grid_lm import GridLM
from espnet2_taste.slm.layouts.abs_layout import HOLE, run_grammar
from espnet2_taste.slm.layouts.streams import TEXT, TEXT_KINDS, IdSet, Stream
from espnet2_taste.slm.limits import Amount, LimitKeeper, Limits
from espnet2_taste.slm.sampling import NEVER, GenerationOptions, UniformStreams


@dataclass(frozen=True, eq=False)
class GridContinuation:
    """A prompt and what was added to it.

    Attributes:
        ids: All rows, (T, S).
        prompt_rows: Rows of the prompt, holes filled.
        ended: The utterance is complete, and no limit made it so.
    """

    ids: np.ndarray
    prompt_rows: int
    ended: bool


@dataclass
class GridItem:
    """One utterance under way.

    Attributes:
        prompt: Ids with holes, (P, S).
        state: Of the grammar.
        rows: Written so far.
        resumed: The prompt's text is over.
        amount: What was generated.
        unfinished: State of ``PieceRules``.
    """

    prompt: np.ndarray
    state: Any
    rows: list[list[int]] = field(default_factory=list)
    resumed: bool = False
    amount: Amount = field(default_factory=Amount)
    unfinished: int = 0

    def known(self, num_streams: int) -> list[int]:
        """Cells of the next row, ``HOLE`` where it is to be chosen."""
        if len(self.rows) < len(self.prompt):
            return self.prompt[len(self.rows)].tolist()
        return [HOLE] * num_streams


def full_rows(prompt: np.ndarray) -> int:
    """Rows before the first hole."""
    holes = np.flatnonzero((prompt == HOLE).any(axis=1))
    return int(holes[0]) if len(holes) else len(prompt)


class GridGenerator(AbsGenerator):
    """Continues prompts.

    Args:
        grid_lm: The model in evaluation mode; see ``GenerationOptions.prepare``.
        options: How ids are drawn.
        limits: How much is generated.
        unit_seconds: See :class:`~espnet2_taste.slm.limits.LimitKeeper`.
    """

    def __init__(
        self,
        grid_lm: GridLM,
        options: GenerationOptions = GenerationOptions(),
        limits: Limits = Limits(),
        unit_seconds: Sequence[float] | None = None,
    ):
        text = grid_lm.layout.inventory.text
        sizes = [stream.text_size for stream in grid_lm.layout.streams]
        super().__init__(grid_lm, options, max(sizes), text.end_id)
        self.grid_lm = grid_lm
        self.layout = grid_lm.layout
        self.banned = self.layout.text_marks if options.speech_only else frozenset()
        self.keeper = LimitKeeper(self.layout, limits, unit_seconds)
        self.max_rows = limits.max_rows(self.layout.inventory.unit_rate)
        self.is_text = [
            s.mask(IdSet(TEXT_KINDS & set(s.kinds))) for s in self.layout.streams
        ]

    @torch.inference_mode()
    def __call__(
        self, prompts: Sequence[np.ndarray], streams: UniformStreams
    ) -> list[GridContinuation]:
        """Continue prompts; each gets what it would get alone.

        Args:
            prompts: Ids with holes, B times (P, S); P may be 0.
            streams: One stream of random numbers a prompt.

        Returns:
            B continuations.
        """
        items = [self._begin(prompt) for prompt in prompts]
        under_way = [i for i, item in enumerate(items) if not self._done(item)]
        streams.select(torch.tensor(under_way, dtype=torch.int64))
        if under_way:
            chosen = [items[i] for i in under_way]
            rows = [self._embed(item.rows) for item in chosen]
            texts = [torch.tensor(self._text(item.rows)) for item in chosen]
            texts = [text.to(self.device, torch.int64) for text in texts]
            batch = PromptBatch(**self.read_prompts(rows, texts, chosen, streams))
            for _ in self.write(batch):
                pass
        return [self._finish(item) for item in items]

    def _done(self, item: GridItem) -> bool:
        """Whether no row follows."""
        added = len(item.rows) - len(item.prompt)
        return self.layout.final(item.state) or added >= self.max_rows

    def going(self, batch, row):
        """See :meth:`AbsGenerator.going`."""
        return [not self._done(item) for item in batch.items]

    def embed(self, batch, row):
        """See :meth:`AbsGenerator.embed`."""
        return self.grid_lm.embed_rows(row)

    def written_text(self, row):
        """See :meth:`AbsGenerator.written_text`; the text is in one stream."""
        texts = [self._text([cells]) for cells in row.tolist()]
        ids = [text[0] if text else 0 for text in texts]
        active = [bool(text) for text in texts]
        return row.new_tensor(ids), torch.tensor(active, device=row.device)

    def _text(self, rows: Sequence[Sequence[int]]) -> list[int]:
        """Text ids of rows."""
        cells = ((mask, cell) for row in rows for mask, cell in zip(self.is_text, row))
        return [cell for mask, cell in cells if mask[cell]]

    def _finish(self, item: GridItem) -> GridContinuation:
        ids = np.array(item.rows, dtype=np.int64).reshape(-1, len(self.layout.streams))
        reached = self.keeper.reached(item.amount)
        ended = self.layout.final(item.state) and not reached
        return GridContinuation(ids, min(len(item.prompt), len(ids)), ended)

    def _begin(self, prompt: np.ndarray) -> GridItem:
        """A prompt with the rows of it that are known whole."""
        known = prompt[: full_rows(prompt)]
        return GridItem(prompt, run_grammar(self.layout, known), known.tolist())

    def _embed(self, rows: list[list[int]]) -> torch.Tensor:
        """What the LM reads before a continuation, (P + 1, H)."""
        known = torch.tensor(rows, dtype=torch.int64, device=self.device)
        known = known.view(1, -1, len(self.layout.streams))
        begin = self.grid_lm.embedding.begin(1)
        embedded = self.grid_lm.embed_rows(known).to(begin.dtype)
        return torch.cat([begin, embedded], dim=1)[0]

    def choose(self, batch):
        """Write one row of every utterance, (B, S) on the device."""
        items = batch.items
        known = [item.known(len(self.layout.streams)) for item in items]
        for item, cells in zip(items, known):
            if cells[0] == HOLE and not item.resumed and item.rows:
                item.state, item.resumed = self.layout.resume(item.state), True
        rows: list[list[int]] = [[] for _ in items]
        columns: list[torch.Tensor] = []
        for stream in range(len(self.layout.streams)):
            given = [cells[stream] for cells in known]
            cells = self._choose(stream, batch, rows, given, columns)
            for row, cell in zip(rows, cells.tolist()):
                row.append(cell)
            columns.append(cells)
        for item, cells, row in zip(items, known, rows):
            item.state = self.layout.advance(item.state, row)
            item.rows.append(row)
            self.keeper.add(item.amount, cells, row)
            if cells[0] == HOLE:
                item.unfinished = self._follow(item.unfinished, row[0])
        return torch.stack(columns, dim=1)

    def _follow(self, unfinished: int, cell: int) -> int:
        """State of ``PieceRules`` after a cell of the first stream."""
        rules = self.layout.inventory.text.rules
        if rules is None or not cell < self.layout.streams[0].text_size:
            return unfinished
        return rules.follow(unfinished, cell)

    def _choose(
        self, stream: int, batch: PromptBatch, rows, given, columns
    ) -> torch.Tensor:
        """Choose the cells of one stream, (B,); known ones are taken as they are."""
        open_cells = torch.tensor([cell == HOLE for cell in given])
        cells = torch.tensor(given, device=self.device)
        if not open_cells.any():
            return cells
        items, streams = batch.items, batch.streams
        masks = [
            self._mask(stream, item, row, cell)
            for item, row, cell in zip(items, rows, given)
        ]
        allowed = torch.from_numpy(np.stack(masks)).to(self.device)
        logits = self.grid_lm.next_logits(batch.last[-1].float(), columns).float()
        if self.layout.streams[stream].text_size:
            logits = batch.guide.mix(logits)
        logits = logits.masked_fill(~allowed, NEVER)
        if self.layout.streams[stream].group == TEXT:
            seen = self._seen(stream, items)
            chosen = self.text_sampler(logits, seen, streams, open_cells)
        else:
            chosen = self.speech_sampler(logits[:, None], streams, open_cells)[:, 0]
        chosen = self._within(stream, items, rows, chosen)
        return torch.where(open_cells.to(self.device), chosen, cells)

    def _within(self, stream: int, items, rows, chosen: torch.Tensor) -> torch.Tensor:
        """Keep to the most words, (B,) -> (B,)."""
        if not any(self.keeper.reached(item.amount) for item in items):
            return chosen
        column = self.layout.streams[stream]
        kept = [
            self.keeper.within(
                item.amount, column, self.layout.allowed(item.state, row), cell
            )
            for item, row, cell in zip(items, rows, chosen.tolist())
        ]
        return torch.tensor(kept, device=chosen.device)

    def _mask(self, stream: int, item: GridItem, row, given: int) -> np.ndarray:
        """Ids that a cell may be, (X,) bool; a known cell may be anything."""
        column = self.layout.streams[stream]
        if given != HOLE:
            return np.ones(column.size, dtype=bool)
        allowed = self.layout.allowed(item.state, row)
        banned = self.banned | self.keeper.banned(item.amount, column)
        mask = column.mask(allowed.banning(banned))
        usable = self._usable(column, mask, item.unfinished)
        return usable if usable.any() else mask

    def _usable(self, stream: Stream, mask: np.ndarray, unfinished: int) -> np.ndarray:
        """Ids of a mask (X,) that leave no word and no character unfinished."""
        text = self.layout.inventory.text
        if not stream.text_size or text.rules is None:
            return mask
        usable = mask.copy()
        usable[: stream.text_size] &= ~text.rules.forbidden[unfinished].numpy()
        if unfinished:
            usable[stream.text_size :] = False
        else:
            usable[text.end_id] = mask[text.end_id]
        return usable

    def _seen(self, stream: int, items: Sequence[GridItem]) -> torch.Tensor:
        """Text ids of a stream that occurred, (B, X), or (B, 0) if nobody asks."""
        size = self.layout.streams[stream].size
        if not self.text_sampler.needs_history:
            size = 0
        seen = np.zeros((len(items), size), dtype=bool)
        if size:
            for mask, item in zip(seen, items):
                mask[[row[stream] for row in item.rows]] = True
            seen &= self.layout.streams[stream].mask(IdSet(TEXT_KINDS))
        return torch.from_numpy(seen).to(self.device)
