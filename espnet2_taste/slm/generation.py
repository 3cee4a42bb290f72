"""Continuations of TASLM's prompts: the rows of the one loop in ``abs_generator``.

Enters: a :class:`~espnet2_taste.slm.taslm.Taslm`, prompts and options. Leaves: text
ids, word ids and one code a word of each continuation.

Legend: B utterances under way, N text tokens, W words, Q codebooks, V text vocabulary,
H hidden size, P size of a projected word vector (see
:mod:`espnet2_taste.slm.code_embedding_cache`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from espnet2_taste.slm.abs_generator import AbsGenerator, PromptBatch
from espnet2_taste.slm.code_embedding_cache import CodeEmbeddingCache
from espnet2_taste.slm.continuation import Continuation, ContinuationWriter
from espnet2_taste.slm.layouts.text_aligned import IGNORE
from espnet2_taste.slm.prompts import PromptRows
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
        logits: Of the text, guided, before anything is banned, (B, V).
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
class TaslmItem:
    """One prompt under way.

    Attributes:
        number: Which prompt it is.
        state: Of the stepper.
        unfinished: State of ``PieceRules``.
    """

    number: int
    state: StepperState
    unfinished: int = 0


@dataclass
class TaslmBatch(PromptBatch):
    """Prompts under way; items are ``TaslmItem``.

    Attributes:
        inputs: The last row read, (B, H).
        banned: Tokens that may not come next, (B, V) or (V,) bool.
        seen: Tokens of prompt and text, (B, V) bool; (B, 0) if nobody asks.
        vectors: Of the word read last, projected, (B, P).
        read: Of the speech in the last row, (B, P).
        spoken: Whether any word was read, (B,) bool.
        pending: Codes still under way, (B, d, Q).
    """

    inputs: torch.Tensor
    banned: torch.Tensor
    seen: torch.Tensor
    vectors: torch.Tensor
    read: torch.Tensor
    spoken: torch.Tensor
    pending: torch.Tensor
    columns = ("inputs", "seen", "vectors", "read", "spoken", "pending")

    @property
    def states(self) -> list[StepperState]:
        """Of the stepper, B of them."""
        return [item.state for item in self.items]


class TaslmGenerator(AbsGenerator):
    """Continues prompts.

    Args:
        taslm: The model in evaluation mode; see ``GenerationOptions.prepare``.
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
        rows = taslm.backbone.vocab_size
        super().__init__(taslm, options, rows, taslm.eos_id)
        self.taslm = taslm
        self.rules = rules
        self.layers = taslm.head.layers
        self.embeddings = CodeEmbeddingCache(taslm)
        taslm.quantizer.hold_tables()
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
        yield from self.write(self._start(prompts, states, streams))

    def going(self, batch, row):
        """See :meth:`AbsGenerator.going`."""
        return [not step.done for step in row.steps]

    def written_text(self, row):
        """See :meth:`AbsGenerator.written_text`."""
        emitted = [step.emits_text for step in row.steps]
        return row.text, torch.tensor(emitted, device=row.text.device)

    @property
    def first(self) -> torch.Tensor:
        """Tokens that a continuation may not begin with, (V,) bool."""
        if self.rules.reference_compat:
            return torch.zeros_like(self.inside_word)
        return self.inside_word

    def _start(
        self,
        rows: Sequence[PromptRows],
        states: list[StepperState],
        streams: UniformStreams,
    ) -> TaslmBatch:
        """Run the model over the prompts."""
        delay = self.taslm.layout.delay
        follow = [state.rows_given + delay if state.given else 0 for state in states]
        known = [len(row.inputs) + more for row, more in zip(rows, follow)]
        self.taslm.backbone.check_positions(max(known))
        texts = [row.text for row in rows]
        items = [TaslmItem(number, state) for number, state in enumerate(states)]
        read = self.read_prompts([row.inputs for row in rows], texts, items, streams)
        current = torch.stack([row.current for row in rows])  # (B, Q)
        vectors = self.embeddings.new(current)  # (B, P)
        first_word = torch.tensor([row.starts_word for row in rows])
        first_word = first_word.to(self.device)[:, None]
        return TaslmBatch(
            **read,
            inputs=torch.stack([row.inputs[-1] for row in rows]),
            banned=self.banned | (first_word & self.first),
            seen=self._seen(texts),
            vectors=vectors,
            read=vectors,
            spoken=(current != IGNORE).any(dim=-1),
            pending=torch.stack([row.pending for row in rows]),
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

    def choose(self, batch: TaslmBatch) -> RowTrace:
        """Choose text and codes of the row that was read."""
        taslm = self.taslm
        *states, last = batch.last
        logits = batch.guide.mix(taslm.backbone.logits(last))  # (B, V)
        allowed = logits.masked_fill(batch.banned, NEVER)
        batch.banned = self.banned
        allowed = self._hold_back(allowed, batch.states)
        for row, item in enumerate(batch.items):
            if item.unfinished:
                forbidden = self.forbidden[item.unfinished]
                allowed[row] = logits[row].masked_fill(forbidden, NEVER)
        everyone = torch.ones(len(logits), dtype=torch.bool)
        text = self.text_sampler(allowed, batch.seen, batch.streams, everyone)
        chosen = text.tolist()
        tokens = [s.take(t) for s, t in zip(batch.states, chosen)]
        if tokens != chosen:
            text = text.new_tensor(tokens)
        for item, token in zip(batch.items, tokens):
            item.unfinished = self.pieces.follow(item.unfinished, token)
        steps = [self.stepper.advance(s, t) for s, t in zip(batch.states, tokens)]
        prediction = taslm.head(states)
        codes = self._sample_codes(batch, prediction, [step.due for step in steps])
        if batch.seen.size(1):
            batch.seen[torch.arange(len(tokens), device=text.device), text] = True
        rows = [item.number for item in batch.items]
        return RowTrace(rows, logits, prediction, text, codes, steps, batch.inputs)

    def _sample_codes(
        self, batch: TaslmBatch, prediction: Any, dues: Sequence[int | None]
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

    def embed(self, batch: TaslmBatch, trace: RowTrace) -> torch.Tensor:
        """See :meth:`AbsGenerator.embed`."""
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
        batch.inputs = taslm.join(text, speech)
        return batch.inputs

    def _speech_inputs(
        self, batch: TaslmBatch, codes: torch.Tensor, dues: Sequence[int | None]
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
