"""Text with the code of a word where a later word begins: TASLM in the common form.

::

    row     0   1   2   3    4      (delay 1; words "w1 w2" and "w3")
    text    w1  w2  w3  END  PAD
    code    -   -   c1  c2   -

The code of word w stands in the row of the token that begins word w + delay; words
behind the text begin at its rows one by one. This states the design for the tables of
rows and padding and for the tests that all layouts share; training and generation use
``text_aligned``, whose rows also take in a word's code until the next one comes.
"""

from dataclasses import dataclass, replace

import numpy as np

from espnet2_taste.slm.layouts.abs_layout import AbsGridLayout, Grid
from espnet2_taste.slm.layouts.streams import (
    END,
    PAD,
    SPEECH,
    START,
    TEXT,
    TEXT_KINDS,
    IdSet,
    Stream,
)
from espnet2_taste.slm.layouts.utterance import Utterance

CODE, EMPTY = "code", "empty"


@dataclass(frozen=True)
class WordCodesState:
    """State of the grammar.

    Attributes:
        opening: Kinds of text that may come next.
        begun: Words begun, virtual ones behind the text included.
        words: Words of the utterance, known at END.
    """

    opening: frozenset[str]
    begun: int = 0
    words: int | None = None


class WordCodesLayout(AbsGridLayout):
    """One token a row, and the delayed code of a word where one begins.

    Args:
        inventory: What ids are drawn from.
        delay: Words between a word and its code, at least 1.

    Raises:
        ValueError: No codes, or no delay.
    """

    needs = frozenset(("codes",))

    def __init__(self, inventory, delay: int = 1):
        super().__init__(inventory)
        if delay < 1 or not inventory.code_codebooks:
            raise ValueError(
                "layout 'word_codes' needs words with codes and a delay of at least 1, "
                f"found {inventory.code_codebooks} codebooks and delay {delay}"
            )
        self.delay = delay
        text_kinds = TEXT_KINDS | {END}
        self.text = Stream("text", TEXT, inventory.text, ((PAD, 1),), text_kinds)
        self.end_id, self.pad = inventory.text.end_id, self.text.id(PAD)
        extra = ((CODE, inventory.codes), (EMPTY, 1))
        books = range(inventory.code_codebooks)
        self.codes = tuple(Stream(f"code_{b + 1}", SPEECH, None, extra) for b in books)
        self.empty = self.codes[0].id(EMPTY)
        self.streams = (self.text, *self.codes)

    def encode(self, utterance, rng=None):
        """See :meth:`AbsGridLayout.encode`."""
        tokens = utterance.tokens
        size = len(tokens) + self.delay
        ids = np.full((size, len(self.streams)), self.empty, dtype=np.int64)
        ids[: len(tokens), 0] = tokens
        ids[len(tokens), 0] = self.end_id
        ids[len(tokens) + 1 :, 0] = self.pad
        for row, code in zip(self.rows(utterance), utterance.codes):
            ids[row, 1:] = code
        padding = ids == self.empty
        padding[:, 0] = ids[:, 0] == self.pad
        return Grid(ids, (~padding).astype(np.float32), padding)

    def rows(self, utterance: Utterance) -> list[int]:
        """Row of each word's code.

        Raises:
            ValueError: Codes and words differ in number.
        """
        words = utterance.words
        if len(utterance.codes) != len(words):
            raise ValueError(
                f"expected codes of {len(words)} words, found {len(utterance.codes)}: "
                "tokenize the set again (stage 9)"
            )
        lengths = np.cumsum([0, *(len(word) for word in words)]).tolist()
        behind = range(lengths[-1] + 1, lengths[-1] + self.delay)
        return [*lengths, *behind][self.delay :]

    def prompt(self, utterance):
        """See :meth:`AbsGridLayout.prompt`: the last codes are not in these rows."""
        return self.encode(utterance).ids[: len(utterance.tokens)]

    def decode(self, ids, tail=()):
        """See :meth:`AbsGridLayout.decode`."""
        tokens = [i for i in ids[:, 0].tolist() if i not in (self.end_id, self.pad)]
        codes = ids[ids[:, 1] != self.empty, 1:].tolist()
        words = self.inventory.text.group(tokens)
        return Utterance(words=words, codes=tuple(tuple(code) for code in codes))

    def start(self):
        """See :meth:`AbsGridLayout.start`."""
        return WordCodesState(self.inventory.text.first)

    def resume(self, state):
        """See :meth:`AbsGridLayout.resume`."""
        return replace(state, opening=frozenset((START,)))

    def allowed(self, state, row):
        """See :meth:`AbsGridLayout.allowed`: a code is due only where a word begins."""
        if not row:
            if state.words is not None:
                return IdSet(frozenset((PAD,)))
            return IdSet(state.opening | {END} if state.begun else state.opening)
        begun = self._begun(state, row[0])
        due = begun > state.begun and begun > self.delay
        return IdSet(frozenset((CODE if due else EMPTY,)))

    def _begun(self, state: WordCodesState, token: int) -> int:
        """Words begun with this token; END and what follows it begin virtual ones."""
        inside = self.text.is_kind("inside", token)
        return state.begun + (not inside or state.begun == 0)

    def advance(self, state, row):
        """See :meth:`AbsGridLayout.advance`."""
        words = state.begun if row[0] == self.end_id else state.words
        return WordCodesState(TEXT_KINDS, self._begun(state, row[0]), words)

    def final(self, state):
        """See :meth:`AbsGridLayout.final`: every word has its code."""
        return state.words is not None and state.begun == state.words + self.delay
