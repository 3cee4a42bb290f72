"""Continuations of prompts, in batches of unequal length, with cached keys and values.

Enters: a :class:`~espnet2_taste.slm.taslm.Taslm`, prompts and options. Leaves: text
ids, word ids and one code a word of each continuation; the same as each prompt alone
without a cache would give. Prompts are padded on the right for the first pass, where
causality hides the padding; later rows mask it.

Legend: B utterances under way, N text tokens, W words, L rows of the longest prompt, Q
codebooks, V text vocabulary, H hidden size, P size of a projected word vector (see
:mod:`espnet2_taste.slm.code_embedding_cache`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.slm.code_embedding_cache import CodeEmbeddingCache
from espnet2_taste.slm.continuation import Continuation, ContinuationWriter
from espnet2_taste.slm.layouts.text_aligned import IGNORE
from espnet2_taste.slm.prompts import PromptRows
from espnet2_taste.slm.row_reader import RowReader
from espnet2_taste.slm.sampling import NEVER, GenerationOptions, UniformStreams
from espnet2_taste.slm.stepper import (
    GivenText,
    Step,
    Stepper,
    StepperState,
    StopRules,
)
from espnet2_taste.slm.taslm import Taslm
from espnet2_taste.slm.vocabulary import PieceRules, VocabularyMasks


@dataclass(frozen=True)
class RowTrace:
    """One row of every utterance under way, for tests and for streaming.

    Attributes:
        rows: Which prompts are under way, B numbers.
        logits: Of the text, before anything is banned, (B, V).
        prediction: Of the TASTE head.
        text: Ids chosen, (B,).
        codes: Codes that belong to the row, (B, Q), -1 where none was sampled.
        steps: What follows, B of them.
        inputs: The row that was read, (B, H).
    """

    rows: list[int]
    logits: torch.Tensor
    prediction: Any
    text: torch.Tensor
    codes: torch.Tensor
    steps: list[Step]
    inputs: torch.Tensor


@dataclass
class DecodingBatch:
    """Utterances under way.

    Attributes:
        rows: Which prompts these are.
        states: Of the stepper.
        inputs: The last row read, (B, H).
        last: Hidden states asked for by the head, then the last one, each (B, H).
        reader: The text LM, with what it keeps of earlier rows.
        seen: Tokens of prompt and text, (B, V) bool; (B, 0) if nobody asks.
        vectors: Of the word read last, projected, (B, P).
        read: Of the speech in the last row, (B, P).
        spoken: Whether any word was read, (B,) bool.
        pending: Codes still under way, (B, d, Q).
        unfinished: States of ``PieceRules``.
        streams: Random streams.
    """

    rows: list[int]
    states: list[StepperState]
    inputs: torch.Tensor
    last: tuple[torch.Tensor, ...]
    reader: RowReader
    seen: torch.Tensor
    vectors: torch.Tensor
    read: torch.Tensor
    spoken: torch.Tensor
    pending: torch.Tensor
    unfinished: list[int]
    streams: UniformStreams

    def select(self, kept: torch.Tensor) -> None:
        """Keep only some utterances, given as indices on the model's device."""
        order = kept.tolist()
        self.rows = [self.rows[row] for row in order]
        self.states = [self.states[row] for row in order]
        self.unfinished = [self.unfinished[row] for row in order]
        self.reader.select(kept)
        for name in ("seen", "vectors", "read", "spoken", "pending"):
            setattr(self, name, getattr(self, name)[kept])
        self.streams.select(kept.cpu())


class TaslmGenerator:
    """Continues prompts.

    Args:
        taslm: The model in evaluation mode; see ``AbsBackbone.merged`` for speed.
        masks: Of its text vocabulary.
        rules: When speech ends.
        options: How to sample.
    """

    def __init__(
        self,
        taslm: Taslm,
        masks: VocabularyMasks,
        rules: StopRules,
        options: GenerationOptions = GenerationOptions(),
    ):
        self.taslm = taslm
        self.rules = rules
        self.embeddings = CodeEmbeddingCache(taslm)
        self.text_sampler = options.text_sampler()
        self.speech_sampler = options.speech_sampler()
        rows = taslm.backbone.causal_lm.get_output_embeddings().weight.size(0)
        masks = masks.resized(rows)
        self.stepper = Stepper(taslm.layout, rules, masks)
        device = taslm.pad_text.device
        self.pieces = PieceRules(masks)
        self.forbidden = {s: m.to(device) for s, m in self.pieces.forbidden.items()}
        self.banned = self.forbidden[0].clone()
        if rules.end_id is not None and not rules.reference_compat:
            self.banned[rules.end_id] = False
        self.inside_word = ~masks.word_start.to(device)
        if rules.end_id is not None:
            self.inside_word[rules.end_id] = False

    def __call__(
        self,
        prompts: Sequence[PromptRows],
        streams: UniformStreams,
        given: Sequence[GivenText] | None = None,
    ) -> list[Continuation]:
        """Continue prompts.

        Args:
            prompts: Prompts of any kind and length.
            streams: One stream of random numbers a prompt.
            given: Text of each continuation, whose codes alone are generated.

        Returns:
            A continuation for each prompt.

        Raises:
            ValueError: The text LM has too few positions.
        """
        writers = [ContinuationWriter() for _ in prompts]
        for trace in self.trace(prompts, streams, given):
            text, codes = trace.text.cpu(), trace.codes.cpu()
            for index, row in enumerate(trace.rows):
                writers[row].write(trace.steps[index], text[index], codes[index])
        quantizer, end_id = self.taslm.quantizer, self.rules.end_id
        return [w.finish(quantizer.num_codebooks, end_id) for w in writers]

    @torch.inference_mode()
    def trace(
        self,
        prompts: Sequence[PromptRows],
        streams: UniformStreams,
        given: Sequence[GivenText] | None = None,
    ) -> Iterator[RowTrace]:
        """Continue prompts row by row; arguments are those of :meth:`__call__`.

        Yields:
            One trace a row, until the last utterance has ended.
        """
        states = [StepperState(text) for text in given or [None] * len(prompts)]
        first_word = torch.tensor([prompt.starts_word for prompt in prompts])
        banned = self.banned | (first_word.to(self.banned.device)[:, None] & self.first)
        reader = RowReader(self.taslm.backbone, self.taslm.head.layers)
        batch = self._read_prompts(prompts, states, reader, streams)
        while batch.rows:
            trace = self._choose(batch, banned)
            yield trace
            self._read_rows(batch, trace)
            banned = self.banned

    def _read_rows(self, batch: DecodingBatch, trace: RowTrace) -> None:
        """Read what was chosen; utterances that have ended leave the batch."""
        going = torch.tensor([not step.done for step in trace.steps])
        if not going.any():
            batch.rows = []
            return
        batch.inputs = self._next_inputs(batch, trace)
        if not going.all():
            kept = going.nonzero()[:, 0].to(batch.inputs.device)
            batch.inputs = batch.inputs[kept]
            batch.select(kept)
        batch.last = batch.reader.read(batch.inputs)

    @property
    def first(self) -> torch.Tensor:
        """Tokens that a continuation may not begin with, (V,) bool."""
        if self.rules.reference_compat:
            return torch.zeros_like(self.inside_word)
        return self.inside_word

    def _read_prompts(
        self,
        rows: Sequence[PromptRows],
        states: list[StepperState],
        reader: RowReader,
        streams: UniformStreams,
    ) -> DecodingBatch:
        """Run the model over the prompts."""
        taslm, delay = self.taslm, self.taslm.layout.delay
        lengths = torch.tensor([len(row.inputs) for row in rows])
        lengths = lengths.to(taslm.pad_text.device)
        inputs = pad_sequence([row.inputs for row in rows], batch_first=True)
        follow = [state.rows_given + delay if state.given else 0 for state in states]
        known = [len(row.inputs) + more for row, more in zip(rows, follow)]
        taslm.backbone.check_positions(max(known))
        current = torch.stack([row.current for row in rows])  # (B, Q)
        vectors = self.embeddings.new(current)  # (B, P)
        everyone = torch.arange(len(rows), device=inputs.device)
        return DecodingBatch(
            rows=list(range(len(rows))),
            states=states,
            inputs=inputs[everyone, lengths - 1],
            last=reader.start(inputs, lengths),
            reader=reader,
            seen=self._seen([row.text for row in rows]),
            vectors=vectors,
            read=vectors,
            spoken=(current != IGNORE).any(dim=-1),
            pending=torch.stack([row.pending for row in rows]),
            unfinished=[0] * len(rows),
            streams=streams,
        )

    def _seen(self, texts: Sequence[torch.Tensor]) -> torch.Tensor:
        """Tokens of each prompt, (B, V) bool, or (B, 0) if nobody asks."""
        size = len(self.banned) if self.text_sampler.needs_history else 0
        device = self.banned.device
        seen = torch.zeros(len(texts), size, dtype=torch.bool, device=device)
        if size:
            for row, text in zip(seen, texts):
                row[text] = True
        return seen

    def _choose(self, batch: DecodingBatch, banned: torch.Tensor) -> RowTrace:
        """Choose text and codes of the row that was read."""
        taslm = self.taslm
        *states, last = batch.last
        logits = batch.reader.logits(last)  # (B, V)
        allowed = self._hold_back(logits.masked_fill(banned, NEVER), batch.states)
        for row, state in enumerate(batch.unfinished):
            if state:
                allowed[row] = logits[row].masked_fill(self.forbidden[state], NEVER)
        everyone = torch.ones(len(logits), dtype=torch.bool)
        text = self.text_sampler(allowed, batch.seen, batch.streams, everyone)
        chosen = text.tolist()
        tokens = [s.take(t) for s, t in zip(batch.states, chosen)]
        if tokens != chosen:
            text = text.new_tensor(tokens)
        follow = self.pieces.follow
        batch.unfinished = [follow(*pair) for pair in zip(batch.unfinished, tokens)]
        steps = [self.stepper.advance(s, t) for s, t in zip(batch.states, tokens)]
        prediction = taslm.head(states)
        codes = self._sample_codes(batch, prediction, [step.due for step in steps])
        if batch.seen.size(1):
            batch.seen[torch.arange(len(tokens), device=text.device), text] = True
        return RowTrace(
            list(batch.rows), logits, prediction, text, codes, steps, batch.inputs
        )

    def _sample_codes(
        self, batch: DecodingBatch, prediction: Any, dues: Sequence[int | None]
    ) -> torch.Tensor:
        """Codes of words that are due, (B, Q), -1 for the others."""
        taslm, device = self.taslm, self.banned.device
        due = [index is not None and index >= 0 for index in dues]
        if not any(due):
            shape = (len(dues), taslm.quantizer.num_codebooks)
            return torch.full(shape, IGNORE, device=device)
        logits = taslm.head.code_logits(prediction, taslm.quantizer).float()
        sampled = self.speech_sampler(logits, batch.streams, torch.tensor(due))
        if all(due):
            return sampled
        return torch.where(torch.tensor(due, device=device)[:, None], sampled, IGNORE)

    def _hold_back(
        self, logits: torch.Tensor, states: Sequence[StepperState]
    ) -> torch.Tensor:
        """Forbid the end of speech to utterances with too few words, (B, V)."""
        rules = self.rules
        early = [state.words < rules.min_words for state in states]
        if rules.end_id is not None and any(early):
            rows = torch.tensor(early, device=logits.device)
            logits[rows, rules.end_id] = NEVER
        return logits

    def _next_inputs(self, batch: DecodingBatch, trace: RowTrace) -> torch.Tensor:
        """Embed the next row, (B, H)."""
        taslm, device = self.taslm, trace.text.device
        dues = [step.due for step in trace.steps]
        early = [index if index is not None and index < 0 else 0 for index in dues]
        codes = trace.codes  # (B, Q)
        if any(early):
            index = torch.tensor(early, device=device)
            rows = torch.arange(len(dues), device=device)
            waiting = batch.pending[rows, index]
            codes = torch.where((index < 0)[:, None], waiting, codes)
        speech = self._speech_inputs(batch, codes, dues)  # (B, P)
        text = taslm.backbone.embed(trace.text)  # (B, H)
        reads = [step.reads_text for step in trace.steps]
        if not all(reads):
            reads = torch.tensor(reads, device=device)
            text = torch.where(reads[:, None], text, taslm.pad_text.to(text.dtype))
        return taslm.join(text, speech)

    def _speech_inputs(
        self, batch: DecodingBatch, codes: torch.Tensor, dues: Sequence[int | None]
    ) -> torch.Tensor:
        """Vectors of new words, or of those that go on; (B, Q) -> (B, P)."""
        embeddings, device = self.embeddings, codes.device
        new = embeddings.new(codes)  # (B, P)
        if all(index is not None and index >= 0 for index in dues):
            batch.read, batch.vectors = new, new
            batch.spoken = torch.ones_like(batch.spoken)
            return new
        arrives = (codes != IGNORE).any(dim=-1)
        held = embeddings.hold(batch.vectors)
        held = torch.where(batch.spoken[:, None], held, embeddings.nothing)
        if self.rules.reference_compat:  # repeats what training never repeats
            idle = torch.tensor([d is None for d in dues], device=device)
            held = torch.where(idle[:, None], batch.read, held)
        speech = torch.where(arrives[:, None], new, held)
        batch.read = speech
        batch.vectors = torch.where(arrives[:, None], new, batch.vectors)
        batch.spoken = batch.spoken | arrives
        return speech
