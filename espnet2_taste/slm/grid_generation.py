"""Continuations of prompts for every layout: one batched, cached, grammar-masked loop.

Enters: a :class:`~espnet2_taste.slm.grid_lm.GridLM`, prompts with holes, options.
Leaves: whole grids. For each row and each stream of it: take the cell that is known,
or mask by the layout's grammar and sample. What comes out is always a beginning of a
grid of the layout, complete where it ended by itself.

Legend: B utterances under way, P rows of the longest prompt, T rows, S streams, X ids
of a stream, H hidden size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.slm.grid_lm import GridLM
from espnet2_taste.slm.layouts.abs_layout import HOLE, AbsLayout, run_grammar
from espnet2_taste.slm.layouts.streams import END, TEXT, IdSet
from espnet2_taste.slm.llama_reader import reader_maker
from espnet2_taste.slm.row_readers import AbsRowReader
from espnet2_taste.slm.sampling import NEVER, UniformStreams, choose, nucleus


@dataclass(frozen=True)
class IdSampling:
    """How the ids of a stream are drawn.

    Attributes:
        top_p: 0 takes the likeliest id.
        temperature: Below 1 sharpens.
        top_k: Candidates, 0 for all.
    """

    top_p: float = 0.0
    temperature: float = 1.0
    top_k: int = 0

    def __post_init__(self):
        if not 0 <= self.top_p <= 1 or self.temperature <= 0 or self.top_k < 0:
            raise ValueError(
                "sampling needs 0 <= top_p <= 1, temperature > 0 and top_k >= 0, found "
                f"{self.top_p}, {self.temperature} and {self.top_k}"
            )

    def __call__(self, logits: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """Choose.

        Args:
            logits: (B, X), ``NEVER`` where not allowed.
            uniform: Numbers in [0, 1), (B,).

        Returns:
            Ids, (B,).
        """
        if self.top_p == 0:
            return logits.argmax(dim=-1)
        if 0 < self.top_k < logits.size(-1):
            least = logits.topk(self.top_k, dim=-1).values[..., -1:]
            logits = logits.masked_fill(logits < least, NEVER)
        return choose(nucleus(logits / self.temperature, self.top_p), uniform)


@dataclass(frozen=True)
class GridSampling:
    """How grids are drawn.

    Attributes:
        text: Of streams of text.
        speech: Of all others.
        speech_only: Never leave speech for text where a layout could.
    """

    text: IdSampling = IdSampling()
    speech: IdSampling = IdSampling(0.95, 0.8)
    speech_only: bool = True


@dataclass(frozen=True, eq=False)
class GridContinuation:
    """A prompt and what was added to it.

    Attributes:
        ids: All rows, (T, S).
        prompt_rows: Rows of the prompt, holes filled.
        ended: The utterance is complete; otherwise the limit of rows was met.
    """

    ids: np.ndarray
    prompt_rows: int
    ended: bool


@dataclass
class GridItem:
    """One utterance under way.

    Attributes:
        prompt: Ids with holes, (P, S).
        limit: Most rows.
        least: Rows before which nothing ends, where the grammar leaves a choice.
        state: Of the grammar.
        rows: Written so far.
        resumed: The prompt's text is over.
    """

    prompt: np.ndarray
    limit: int
    least: int
    state: Any
    rows: list[list[int]] = field(default_factory=list)
    resumed: bool = False

    def known(self, num_streams: int) -> list[int]:
        """Cells of the next row, ``HOLE`` where it is to be chosen."""
        if len(self.rows) < len(self.prompt):
            return self.prompt[len(self.rows)].tolist()
        return [HOLE] * num_streams

    def done(self, layout: AbsLayout) -> bool:
        """Whether no row follows."""
        return layout.final(self.state) or len(self.rows) >= self.limit


def full_rows(prompt: np.ndarray) -> int:
    """Rows before the first hole."""
    holes = np.flatnonzero((prompt == HOLE).any(axis=1))
    return int(holes[0]) if len(holes) else len(prompt)


class GridGenerator:
    """Continues prompts.

    Args:
        grid_lm: The model in evaluation mode; see ``AbsBackbone.merged`` for speed.
        sampling: How ids are drawn.
    """

    def __init__(self, grid_lm: GridLM, sampling: GridSampling = GridSampling()):
        self.grid_lm = grid_lm
        self.layout = grid_lm.layout
        self.banned = self.layout.switches if sampling.speech_only else frozenset()
        self.samplers = [
            sampling.text if stream.group == TEXT else sampling.speech
            for stream in self.layout.streams
        ]
        self.device = grid_lm.embedding.start.device
        self.new_reader = reader_maker(grid_lm.backbone, ())

    @torch.inference_mode()
    def __call__(
        self,
        prompts: Sequence[np.ndarray],
        limits: Sequence[int],
        streams: UniformStreams,
        least: Sequence[int] | None = None,
    ) -> list[GridContinuation]:
        """Continue prompts; each gets what it would get alone.

        Args:
            prompts: Ids with holes, B times (P, S); P may be 0.
            limits: Most rows of each, its prompt included.
            streams: One stream of random numbers a prompt.
            least: Fewest rows of each, its prompt included; none by default.

        Returns:
            B continuations.
        """
        bounds = zip(prompts, limits, least or [0] * len(prompts))
        items = [GridItem(*given, self.layout.start()) for given in bounds]
        reader = self.new_reader()
        with reader.threads():
            self._write(items, reader, streams)
        return [self._finish(item) for item in items]

    def _write(
        self, items: list[GridItem], reader: AbsRowReader, streams: UniformStreams
    ) -> None:
        """Write rows until the last utterance has ended."""
        inputs, lengths = self._read_prompts(items)
        self.grid_lm.backbone.check_positions(inputs.size(1))
        hidden = reader.start(inputs, lengths)[-1]
        going = items
        while True:
            kept = [i for i, item in enumerate(going) if not item.done(self.layout)]
            if not kept:
                break
            if len(kept) < len(going):
                index = torch.tensor(kept, device=self.device)
                going, hidden = [going[i] for i in kept], hidden[index]
                reader.select(index)
                streams.select(index.cpu())
            rows = self._write_row(going, hidden.float(), streams)
            hidden = reader.read(self.grid_lm.embed_rows(rows))[-1]

    def _finish(self, item: GridItem) -> GridContinuation:
        ids = np.array(item.rows, dtype=np.int64).reshape(-1, len(self.layout.streams))
        ended = self.layout.final(item.state)
        return GridContinuation(ids, min(len(item.prompt), len(ids)), ended)

    def _read_prompts(
        self, items: Sequence[GridItem]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Embed the rows that are known whole, (B, P + 1, H), and count them, (B,)."""
        inputs = []
        for item in items:
            item.rows = item.prompt[: full_rows(item.prompt)].tolist()
            known = np.array(item.rows, dtype=np.int64)
            known = known.reshape(1, -1, len(self.layout.streams))
            item.state = run_grammar(self.layout, known[0])
            rows = self.grid_lm.embed_rows(torch.from_numpy(known).to(self.device))
            begin = self.grid_lm.embedding.begin(1)
            inputs.append(torch.cat([begin, rows.to(begin.dtype)], dim=1)[0])
        lengths = torch.tensor([len(rows) for rows in inputs], device=self.device)
        return pad_sequence(inputs, batch_first=True), lengths

    def _write_row(
        self, items: Sequence[GridItem], hidden: torch.Tensor, streams: UniformStreams
    ) -> torch.Tensor:
        """Write one row of every utterance, (B, S) on the device."""
        known = [item.known(len(self.layout.streams)) for item in items]
        for item, cells in zip(items, known):
            if cells[0] == HOLE and not item.resumed and item.rows:
                item.state, item.resumed = self.layout.resume(item.state), True
        rows: list[list[int]] = [[] for _ in items]
        columns: list[torch.Tensor] = []
        for stream in range(len(self.layout.streams)):
            given = [cells[stream] for cells in known]
            cells = self._choose(stream, items, rows, given, hidden, columns, streams)
            for row, cell in zip(rows, cells.tolist()):
                row.append(cell)
            columns.append(cells)
        for item, row in zip(items, rows):
            item.state = self.layout.advance(item.state, row)
            item.rows.append(row)
        return torch.stack(columns, dim=1)

    def _choose(
        self, stream, items, rows, given, hidden, columns, streams
    ) -> torch.Tensor:
        """Choose the cells of one stream, (B,); known ones are taken as they are."""
        open_cells = torch.tensor([cell == HOLE for cell in given])
        cells = torch.tensor(given, device=self.device)
        if not open_cells.any():
            return cells
        masks = [
            self._mask(stream, item, row, cell)
            for item, row, cell in zip(items, rows, given)
        ]
        allowed = torch.from_numpy(np.stack(masks)).to(self.device)
        logits = self.grid_lm.next_logits(hidden, columns).float()
        uniform = streams.take(open_cells, 1)[:, 0]
        chosen = self.samplers[stream](logits.masked_fill(~allowed, NEVER), uniform)
        return torch.where(open_cells.to(self.device), chosen, cells)

    def _mask(self, stream: int, item: GridItem, row, given: int) -> np.ndarray:
        """Ids that a cell may be, (X,) bool; a known cell may be anything."""
        if given != HOLE:
            return np.ones(self.layout.streams[stream].size, dtype=bool)
        allowed: IdSet = self.layout.allowed(item.state, row)
        early = frozenset((END,)) if len(item.rows) < item.least else frozenset()
        return self.layout.streams[stream].mask(allowed.banning(self.banned | early))
