"""Words and units in one string, changing at word boundaries (Spirit LM).

::

    [TEXT] w1 w2 [SPEECH] u1 u2 u3 .. [TEXT] w5 .. END

A tag stands at every change and at the beginning. Units of a span are deduplicated.
Which words are text is drawn anew at every reading (``spans.py``); what is scored and
continued is speech from end to end. Silence belongs to the word before it.
"""

from dataclasses import dataclass, replace

import numpy as np

from espnet2_taste.slm.layouts.abs_layout import AbsGridLayout, Grid
from espnet2_taste.slm.layouts.spans import SpanOptions, draw_spans
from espnet2_taste.slm.layouts.streams import (
    END,
    MIXED,
    START,
    TEXT_KINDS,
    UNIT,
    IdSet,
    Stream,
)
from espnet2_taste.slm.layouts.utterance import Utterance, deduplicate

TEXT_TAG, SPEECH_TAG = "text_tag", "speech_tag"


@dataclass(frozen=True)
class InterleaveState:
    """State of the grammar.

    Attributes:
        kinds: What may come next.
        without: What may not: what was just written.
        begun: Something was written.
        ended: END came.
    """

    kinds: frozenset[str] = frozenset((TEXT_TAG, SPEECH_TAG))
    without: frozenset[int] = frozenset()
    begun: bool = False
    ended: bool = False


class InterleaveLayout(AbsGridLayout):
    """Spans of text and of deduplicated units.

    Args:
        inventory: What ids are drawn from.
        text_only: Share of utterances that are read as text alone.
        speech_only: Share of utterances that are read as speech alone.
        speech_share: Share of words that are speech in the others, at least.
        span_words: Mean number of words of a speech span.
    """

    needs = frozenset(("word_times",))
    deduplicates = True
    text_marks = frozenset((TEXT_TAG,))

    def __init__(
        self,
        inventory,
        text_only: float = 0.33,
        speech_only: float = 0.33,
        speech_share: float = 0.3,
        span_words: float = 10.0,
    ):
        super().__init__(inventory)
        inventory.need_one_codebook("interleave")
        self.options = SpanOptions(text_only, speech_only, speech_share, span_words)
        extra = ((TEXT_TAG, 1), (SPEECH_TAG, 1), *self.speech_kinds())
        text_kinds = TEXT_KINDS | {TEXT_TAG}
        self.stream = Stream("mixed", MIXED, inventory.text, extra, text_kinds)
        self.streams = (self.stream,)
        self.end_id = inventory.text.end_id
        self.tags = (self.stream.id(TEXT_TAG), self.stream.id(SPEECH_TAG))

    def speech_kinds(self) -> tuple[tuple[str, int], ...]:
        """Kinds of ids that a speech span consists of, with their sizes."""
        return ((UNIT, self.inventory.units),)

    def speech_span(self, utterance: Utterance, first: int, last: int) -> list[int]:
        """Ids of frames ``first`` to ``last - 1``."""
        units = [unit for (unit,) in utterance.units[first:last]]
        return [self.stream.id(UNIT, unit) for unit in deduplicate(units)]

    def spans(
        self, utterance: Utterance, speech: np.ndarray
    ) -> list[tuple[bool, int, int]]:
        """Gather words of one modality that follow one another.

        A span of speech without a frame is left out.

        Args:
            utterance: With word times.
            speech: Modality of each word, (W,) bool.

        Returns:
            Modality, first word, word after the last one, of each span.
        """
        frames = utterance.word_frames()
        spans: list[tuple[bool, int, int]] = []
        for word, spoken in enumerate(speech.tolist()):
            if spans and spans[-1][0] == spoken:
                spans[-1] = (spoken, spans[-1][1], word + 1)
            else:
                spans.append((spoken, word, word + 1))
        return [s for s in spans if not s[0] or frames[s[2]] > frames[s[1]]]

    def lay_out(self, utterance: Utterance, speech: np.ndarray) -> np.ndarray:
        """Write an utterance without END.

        Args:
            utterance: With word times.
            speech: Modality of each word, (W,) bool.

        Returns:
            Ids, (T, 1).
        """
        frames, before = utterance.word_frames(), None
        ids: list[int] = []
        for spoken, first, last in self.spans(utterance, speech):
            if spoken != before:
                ids.append(self.tags[spoken])
            if spoken:
                ids += self.speech_span(utterance, frames[first], frames[last])
            else:
                ids += [i for word in utterance.words[first:last] for i in word]
            before = spoken
        return np.array(ids, dtype=np.int64).reshape(-1, 1)

    def encode(self, utterance, rng=None):
        """See :meth:`AbsGridLayout.encode`; without ``rng`` all is speech."""
        speech = np.ones(len(utterance.words), dtype=bool)
        if rng is not None:
            speech = draw_spans(len(speech), self.options, rng)
        ids = self.lay_out(utterance, speech)
        ids = np.append(ids, [[self.end_id]], axis=0)
        weights = np.ones(ids.shape, dtype=np.float32)
        return Grid(ids, weights, np.zeros(ids.shape, dtype=bool))

    def prompt(self, utterance):
        """See :meth:`AbsGridLayout.prompt`: speech."""
        return self.lay_out(utterance, np.ones(len(utterance.words), dtype=bool))

    def decode(self, ids, tail=()):
        """See :meth:`AbsGridLayout.decode`: words of text, units of speech spans."""
        words: list[tuple[int, ...]] = []
        tokens: list[int] = []
        units = []
        for ident in ids[:, 0].tolist():
            if ident < self.stream.text_size and ident != self.end_id:
                tokens.append(ident)
                continue
            words += self.inventory.text.group(tokens)
            tokens = []
            if self.stream.is_kind(UNIT, ident):
                units.append((self.stream.index(UNIT, ident),))
        words += self.inventory.text.group(tokens)
        return Utterance(words=tuple(words), units=tuple(units))

    def start(self):
        """See :meth:`AbsGridLayout.start`."""
        return InterleaveState()

    def resume(self, state):
        """See :meth:`AbsGridLayout.resume`."""
        return replace(state, kinds=state.kinds - {"inside"})

    def allowed(self, state, row):
        """See :meth:`AbsGridLayout.allowed`."""
        return IdSet(state.kinds, state.without)

    def advance(self, state, row):
        """See :meth:`AbsGridLayout.advance`."""
        ident = row[0]
        if ident == self.end_id:
            return replace(state, ended=True)
        if ident == self.tags[False]:
            first = self.inventory.text.first
            kinds = frozenset((START,)) if state.begun else first
            return InterleaveState(kinds, begun=True)
        if ident == self.tags[True]:
            return self.open_speech()
        if ident < self.stream.text_size:
            return InterleaveState(TEXT_KINDS | {SPEECH_TAG, END}, begun=True)
        return self.advance_speech(state, ident)

    def open_speech(self) -> InterleaveState:
        """The state after the tag of speech."""
        return InterleaveState(frozenset((UNIT,)), begun=True)

    def advance_speech(self, state: InterleaveState, ident: int) -> InterleaveState:
        """The state after an id of a speech span."""
        kinds = frozenset((UNIT, TEXT_TAG, END))
        return InterleaveState(kinds, frozenset((ident,)), begun=True)

    def final(self, state):
        """See :meth:`AbsGridLayout.final`."""
        return state.ended
