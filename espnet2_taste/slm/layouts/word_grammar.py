"""What may come next in a continuation of words with codes; data only.

Enters: the text token chosen in a row. Leaves: whether codes belong to the row and
whether the utterance is complete, as for every other layout (``abs_layout.py``). The
codes themselves are in no id: a cell of the second stream says that codes are to be
chosen, that the next codes of the prompt arrive, or that there are none.

Rows of a continuation with a delay of d words: the first d word starts bring the
codes of the prompt's last words, which are known (``GIVEN``), the next ones bring codes
to be chosen. At the end of speech d more rows follow, so that every word gets its
codes; the first of them is the row that chose the end, and all of them hold END.

Legend: N text tokens, d delay.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from espnet2_taste.slm.layouts.abs_layout import AbsGrammar
from espnet2_taste.slm.layouts.streams import (
    END,
    PAD,
    SPEECH,
    START,
    TEXT,
    TEXT_KINDS,
    IdSet,
    Inventory,
    Stream,
    TextVocabulary,
)
from espnet2_taste.slm.layouts.text_aligned import AbsTextAlignedLayout

CODES, GIVEN = "codes", "given"


@dataclass(frozen=True)
class WordState:
    """State of the grammar.

    Attributes:
        opening: Kinds of text that come first.
        given: For each token of a text that is given, whether it begins a word.
        starts: For each row so far, whether it began a word (or followed the end).
        words: Words begun.
        drained: Rows since the end, that of the end included.
        ending: The next row is one of them whatever it holds.
    """

    opening: frozenset[str] = frozenset((START,))
    given: tuple[bool, ...] = ()
    starts: tuple[bool, ...] = ()
    words: int = 0
    drained: int = 0
    ending: bool = False


class WordGrammar(AbsGrammar):
    """Text with the codes of words.

    Args:
        layout: Says where codes belong.
        text: The text LM's vocabulary, with the token that ends speech.

    Attributes:
        pads_text: Rows after the end read the text padding.
    """

    pads_text = True

    def __init__(self, layout: AbsTextAlignedLayout, text: TextVocabulary):
        self.layout = layout
        self.inventory = Inventory(text, units=0)
        codes = Stream("codes", SPEECH, None, ((CODES, 1), (GIVEN, 1), (PAD, 1)))
        self.streams = (Stream("text", TEXT, text, (), TEXT_KINDS | {END}), codes)
        self.word_start: Sequence[bool] = text.starts.tolist()

    def start(self):
        """See :meth:`AbsGrammar.start`."""
        return WordState()

    def allowed(self, state, row):
        """See :meth:`AbsGrammar.allowed`."""
        if row:
            due = self.due(self.advance(state, row))
            return IdSet(frozenset((PAD if due is None else arrival(due),)))
        if state.drained:
            return IdSet(frozenset((END,)))
        return IdSet((TEXT_KINDS if state.starts else state.opening) | {END})

    def advance(self, state, row):
        """See :meth:`AbsGrammar.advance`."""
        known = len(state.starts) < len(state.given)
        begins = not state.words or self.word_start[row[0]]
        if known:
            begins = state.given[len(state.starts)]
        ended = row[0] == self.inventory.text.end_id and not known
        drains = bool(state.drained) or ended
        return replace(
            state,
            starts=(*state.starts, begins or drains),
            words=state.words + (begins and not drains),
            drained=state.drained + drains,
        )

    def due(self, state: WordState) -> int | None:
        """Word whose codes belong to the last row: a generated one, counted from 0, a
        negative number for the prompt's, None for no one."""
        if state.drained > self.layout.delay:  # no delay: every word has its codes
            return None
        return self.layout.due(state.starts)

    def final(self, state):
        """See :meth:`AbsGrammar.final`."""
        return 0 < state.drained >= self.layout.delay


class PublishedGrammar(WordGrammar):
    """The published end of speech, which no token learned in training marks.

    A full stop ends it after some words, three times as many words cut the word after
    them at its first token, and rows after the end read tokens that are not written.

    Args:
        layout: See :class:`WordGrammar`.
        text: Likewise; its end is never chosen.
        extra_words: Words after which a full stop ends speech.
        stop_id: A token that ends speech at once and begins no word.

    Raises:
        ValueError: ``extra_words`` is missing.
    """

    pads_text = False

    def __init__(
        self,
        layout: AbsTextAlignedLayout,
        text: TextVocabulary,
        extra_words: int | None,
        stop_id: int | None = None,
    ):
        if extra_words is None:
            raise ValueError(
                "with reference_compat a full stop ends speech after some words, three "
                "times as many end it anyway; say how many (--sentence_end_after 8)"
            )
        super().__init__(layout, text)
        self.extra_words, self.stop_id = extra_words, stop_id

    def allowed(self, state, row):
        """See :meth:`AbsGrammar.allowed`."""
        return super().allowed(state, row) if row else IdSet(TEXT_KINDS)

    def advance(self, state, row):
        """See :meth:`AbsGrammar.advance`."""
        token, words = row[0], state.words
        begins = not words or self.word_start[token] or state.ending
        endless = len(state.starts) >= 48 * self.extra_words
        drains = state.ending or endless or token == self.stop_id
        stopped = self.inventory.text.sentence_end[token]
        full = words >= (1 if stopped else 3) * self.extra_words
        return replace(
            state,
            starts=(*state.starts, begins),
            words=words + begins,
            drained=state.drained + drains,
            ending=drains or full,
        )


def arrival(due: int) -> str:
    """Kind of the cell of a row that codes belong to."""
    return GIVEN if due < 0 else CODES
