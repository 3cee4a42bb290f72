"""How every spoken LM continues prompts: batched, cached, under its grammar.

Enters: prompts as the LM reads them, and options. Leaves: rows of ids that are a
beginning of what the design's layout writes, complete where they ended by themselves,
with the codes of words where a quantizer's vectors are read. For each row and each
stream of it: take the cell that is known, or mask by grammar, limits and vocabulary,
and draw. Each prompt gets what it would get alone without a cache: prompts are padded
on the right for the first pass, where causality hides the padding; later rows mask it.

Legend: B prompts under way, P rows of a prompt, T rows, S streams, X ids of a stream,
W words, Q codebooks, N text tokens, H hidden size.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.slm.continuation import Batch, Continuation, Item
from espnet2_taste.slm.core import SpokenLMCore
from espnet2_taste.slm.guidance import TextGuide
from espnet2_taste.slm.layouts.abs_layout import HOLE, AbsGrammar
from espnet2_taste.slm.layouts.streams import TEXT, TEXT_KINDS, IdSet, text_of
from espnet2_taste.slm.layouts.text_aligned import IGNORE
from espnet2_taste.slm.layouts.word_grammar import CODES, GIVEN
from espnet2_taste.slm.limits import LimitKeeper, Limits
from espnet2_taste.slm.prompts import PromptRows
from espnet2_taste.slm.row_reader import RowReader
from espnet2_taste.slm.sampling import NEVER, GenerationOptions, UniformStreams


class Generator:
    """Continues prompts.

    Args:
        core: The model in evaluation mode; see ``GenerationOptions.prepare``.
        options: How ids and codes are drawn.
        limits: How much is generated.
        unit_seconds: See :class:`~espnet2_taste.slm.limits.LimitKeeper`.
        grammar: What may come next; by default the layout of the model says it.
    """

    def __init__(
        self,
        core: SpokenLMCore,
        options: GenerationOptions = GenerationOptions(),
        limits: Limits = Limits(),
        unit_seconds: Sequence[float] | None = None,
        grammar: AbsGrammar | None = None,
    ):
        self.core = core
        self.grammar = core.layout if grammar is None else grammar
        self.device = core.device
        self.text_sampler = options.text_sampler()
        self.speech_sampler = options.speech_sampler()
        self.mixture = core.mixture(options.guidance if core.text_size else 0.0)
        self.banned = self.grammar.text_marks if options.speech_only else frozenset()
        self.keeper = LimitKeeper(self.grammar, limits, unit_seconds)
        self.max_rows = limits.max_rows(self.grammar.inventory.unit_rate)
        text_streams = [s for s in self.grammar.streams if s.group == TEXT]
        mask = text_streams[0].mask(IdSet(TEXT_KINDS)) if text_streams else np.zeros(0)
        self.is_text = torch.from_numpy(mask).to(self.device)
        self.row_inputs = core.embedding.row_inputs(core.backbone, self.grammar)
        self.num_codebooks = 0
        if core.quantizer is not None:
            core.quantizer.hold_tables()
            self.num_codebooks = core.quantizer.num_codebooks
        self._forbidden = lru_cache(maxsize=256)(self._make_forbidden)

    def __call__(
        self, prompts: Sequence[PromptRows], streams: UniformStreams
    ) -> list[Continuation]:
        """Continue prompts; each gets what it would get alone.

        Args:
            prompts: B prompts of any kind and length.
            streams: One stream of random numbers a prompt.

        Returns:
            B continuations.

        Raises:
            ValueError: The text LM has too few positions.
        """
        items = [Item.of(prompt) for prompt in prompts]
        for _ in self._write(items, streams):
            pass
        return [self.finish(item) for item in items]

    def trace(
        self, prompts: Sequence[PromptRows], streams: UniformStreams
    ) -> Iterator[Batch]:
        """Continue prompts row by row; arguments are those of :meth:`__call__`.

        Yields:
            What is under way after each row, until the last prompt has ended.
        """
        yield from self._write([Item.of(prompt) for prompt in prompts], streams)

    @torch.inference_mode()
    def _write(self, items: Sequence[Item], streams: UniformStreams) -> Iterator[Batch]:
        """Write row after row of those that are not complete."""
        numbers = [n for n, item in enumerate(items) if self._going(item)]
        if not numbers:
            return
        streams.select(torch.tensor(numbers))
        batch = self._read([items[number] for number in numbers], streams)
        while True:
            row = self._choose_row(batch)
            yield batch
            going = torch.tensor([self._going(item) for item in batch.items])
            if not going.any():
                return
            inputs = batch.row_inputs(row, batch.arriving)
            if self.mixture.share:
                batch.guide.read(*self._written_text(row))
            if not going.all():
                kept = going.nonzero()[:, 0].to(self.device)
                inputs = inputs[kept]
                batch.select(kept)
            batch.inputs, batch.last = inputs, batch.reader.read(inputs)

    def _read(self, items: list[Item], streams: UniformStreams) -> Batch:
        """Run the model over prompts."""
        prompts = [item.prompt for item in items]
        lengths = [len(prompt.inputs) for prompt in prompts]
        rows = [n + len(prompt.known) for n, prompt in zip(lengths, prompts)]
        self.core.backbone.check_positions(max(rows))
        reader = RowReader(self.core.backbone, self.core.layers)
        guide = TextGuide(self.core.backbone, self.core.bos_id, self.mixture)
        inputs = pad_sequence([prompt.inputs for prompt in prompts], True)
        last = reader.start(inputs, torch.tensor(lengths, device=self.device))
        guide.start([prompt.text for prompt in prompts])
        return Batch(
            items=items,
            streams=streams,
            reader=reader,
            guide=guide,
            row_inputs=self.row_inputs.begin(prompts),
            seen=self._seen(prompts),
            last=last,
            inputs=torch.stack([prompt.inputs[-1] for prompt in prompts]),
        )

    def _seen(self, prompts: Sequence[PromptRows]) -> torch.Tensor:
        """Text ids of each prompt, (B, X) bool, or (B, 0) if nobody asks."""
        size = len(self.is_text) if self.text_sampler.needs_history else 0
        seen = torch.zeros(len(prompts), size, dtype=torch.bool, device=self.device)
        if size:
            for row, prompt in zip(seen, prompts):
                row[prompt.text] = True
        return seen

    def _going(self, item: Item) -> bool:
        """Whether a row follows."""
        added = len(item.rows) - item.prompt_rows
        return not self.grammar.final(item.state) and added < self.max_rows

    def finish(self, item: Item) -> Continuation:
        """What an utterance holds so far."""
        ids = np.array(item.rows, dtype=np.int64).reshape(-1, len(self.grammar.streams))
        ended = self.grammar.final(item.state) and not self.keeper.reached(item.amount)
        codes = torch.tensor(item.codes, dtype=torch.int64)
        return Continuation(
            ids,
            min(item.prompt_rows, len(ids)),
            ended,
            item.state,
            codes.view(-1, self.num_codebooks) if self.num_codebooks else codes,
        )

    def _written_text(self, row: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Text ids of a row, (B,), and where there are any, (B,); in one stream."""
        texts = [text_of(self.grammar.streams, cells) for cells in row.tolist()]
        ids = [text[0] if text else 0 for text in texts]
        active = [bool(text) for text in texts]
        return row.new_tensor(ids), torch.tensor(active, device=row.device)

    def _choose_row(self, batch: Batch) -> torch.Tensor:
        """Write one row of every utterance, (B, S) on the device."""
        items, count = batch.items, len(self.grammar.streams)
        known = [item.known(count) for item in items]
        for item, cells in zip(items, known):
            if cells[0] == HOLE and not item.resumed and item.rows:
                item.state, item.resumed = self.grammar.resume(item.state), True
        rows: list[list[int]] = [[] for _ in items]
        columns: list[torch.Tensor] = []
        for index, stream in enumerate(self.grammar.streams):
            given = [cells[index] for cells in known]
            choose = self._choose_codes if CODES in stream.kinds else self._choose
            cells = choose(index, batch, rows, given, columns)
            for row, cell in zip(rows, cells.tolist()):
                row.append(cell)
            columns.append(cells)
            if stream.group == TEXT and batch.seen.size(1):
                places = torch.arange(len(cells), device=self.device)
                batch.seen[places, cells] |= self.is_text[cells]
        for item, cells, row in zip(items, known, rows):
            item.state = self.grammar.advance(item.state, row)
            item.rows.append(row)
            self.keeper.add(item.amount, cells, row)
            if cells[0] == HOLE:
                item.unfinished = self._follow(item.unfinished, row[0])
        return torch.stack(columns, dim=1)

    def _follow(self, unfinished: int, cell: int) -> int:
        """State of ``PieceRules`` after a cell of the first stream."""
        rules = self.grammar.inventory.text.rules
        if rules is None or not cell < self.grammar.streams[0].text_size:
            return unfinished
        return rules.follow(unfinished, cell)

    def _choose(self, index: int, batch: Batch, rows, given, columns) -> torch.Tensor:
        """Choose the cells of one stream, (B,); known ones are taken as they are."""
        stream = self.grammar.streams[index]
        open_cells = torch.tensor([cell == HOLE for cell in given])
        cells = torch.tensor(given, device=self.device)
        if not open_cells.any():
            return cells
        logits = self.core.next_logits(batch.last[-1], columns)
        if stream.text_size:
            batch.logits = logits = batch.guide.mix(logits)
        sets = [
            self._allowed(index, item, row) if cell == HOLE else None
            for item, row, cell in zip(batch.items, rows, given)
        ]
        logits = logits.masked_fill(self._forbidden_ids(index, batch, sets), NEVER)
        if stream.group == TEXT:
            chosen = self.text_sampler(logits, batch.seen, batch.streams, open_cells)
        else:
            chosen = self.speech_sampler(logits[:, None], batch.streams, open_cells)
            chosen = chosen[:, 0]
        chosen = self._within(index, batch.items, rows, chosen)
        return torch.where(open_cells.to(self.device), chosen, cells)

    def _allowed(self, index: int, item: Item, row: list[int]) -> IdSet:
        """Ids that a cell may hold, the vocabulary's rules apart."""
        stream = self.grammar.streams[index]
        banned = self.banned | self.keeper.banned(item.amount, stream)
        return self.grammar.allowed(item.state, row).banning(banned)

    def _forbidden_ids(
        self, index: int, batch: Batch, sets: Sequence[IdSet | None]
    ) -> torch.Tensor:
        """Ids outside of sets, (B, X) or (X,) bool; anything where there is none."""
        first = next(ids for ids in sets if ids is not None)
        pairs = [(ids or first, i.unfinished) for ids, i in zip(sets, batch.items)]
        if len(set(pairs)) == 1:
            return self._forbidden(index, *pairs[0])
        return torch.stack([self._forbidden(index, *pair) for pair in pairs])

    def _make_forbidden(self, index: int, ids: IdSet, unfinished: int) -> torch.Tensor:
        """Ids outside of a set, and those that would leave a word or a character
        unfinished where others are left, (X,) bool."""
        stream, text = self.grammar.streams[index], self.grammar.inventory.text
        mask = stream.mask(ids)
        usable = mask.copy()
        if stream.text_size and text.rules is not None:
            usable[: stream.text_size] &= ~text.rules.forbidden[unfinished].numpy()
            if unfinished:
                usable[stream.text_size :] = False
            else:
                usable[text.end_id] = mask[text.end_id]
        return torch.from_numpy(~(usable if usable.any() else mask)).to(self.device)

    def _within(self, index: int, items, rows, chosen: torch.Tensor) -> torch.Tensor:
        """Keep to the most words, (B,) -> (B,)."""
        if not any(self.keeper.reached(item.amount) for item in items):
            return chosen
        stream = self.grammar.streams[index]
        kept = [
            self.keeper.within(
                item.amount, stream, self.grammar.allowed(item.state, row), cell
            )
            for item, row, cell in zip(items, rows, chosen.tolist())
        ]
        return torch.tensor(kept, device=chosen.device)

    def _choose_codes(
        self, index: int, batch: Batch, rows, given, columns
    ) -> torch.Tensor:
        """Choose the codes of words; the grammar says which cells have any, (B,)."""
        stream, items = self.grammar.streams[index], batch.items
        kinds = [
            next(iter(self.grammar.allowed(item.state, row).kinds))
            for item, row in zip(items, rows)
        ]
        core, due = self.core, torch.tensor([kind == CODES for kind in kinds])
        batch.prediction = core.code_head(batch.last[:-1])
        shape = (len(items), self.num_codebooks)
        codes = torch.full(shape, IGNORE, device=self.device)
        if due.any():
            given = (batch.prediction, core.quantizer)
            logits = core.code_head.code_logits(*given).float()
            chosen = self.speech_sampler(logits, batch.streams, due)
            codes = torch.where(due.to(self.device)[:, None], chosen, codes)
        batch.codes, batch.arriving = codes, codes.clone()
        for place, (item, kind, row) in enumerate(zip(items, kinds, codes.tolist())):
            if kind == CODES:
                item.codes.append(row)
            if kind == GIVEN:
                batch.arriving[place] = item.prompt.pending[item.arrived]
                item.arrived += 1
        ids = [stream.id(kind) for kind in kinds]
        return torch.tensor(ids, device=self.device)
