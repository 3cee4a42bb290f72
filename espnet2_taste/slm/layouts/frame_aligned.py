"""A frame clock: text stands at the frame where its word is spoken (Moshi).

::

    row     0    1     2     3     4    5   ..     (delay 1, layer_delay 0)
    text    PAD  MARK  tok1  tok2  PAD  ..  PAD
    unit 1  PAD  u1    u2    u3    ..       uU  END

MARK stands in the row before the first token of every word, the word's tokens follow
one another. A word whose row is still taken waits until it is free; so does a word at
frame 0, for its MARK. Should text be left when the units have ended, they are padded
until it is out. The utterance is complete when the units have ended and the text of
the row is PAD.
"""

from dataclasses import dataclass, replace

import numpy as np

from espnet2_taste.slm.layouts.abs_layout import HOLE, AbsGridLayout, Grid
from espnet2_taste.slm.layouts.streams import (
    INSIDE,
    PAD,
    START,
    TEXT,
    TEXT_KINDS,
    IdSet,
    Stream,
)
from espnet2_taste.slm.layouts.unit_columns import UnitColumns
from espnet2_taste.slm.layouts.utterance import Utterance

MARK = "mark"
IDLE = frozenset((PAD, MARK))
IN_WORD = frozenset((INSIDE, PAD, MARK))


@dataclass(frozen=True)
class FrameState:
    """State of the grammar.

    Attributes:
        text: Kinds of text that may come next.
        row: Rows so far.
        frames: Frames of the utterance, known when the first codebook has ended.
        padded: The last row had no text.
        begun: A word has begun.
    """

    text: frozenset[str] = IDLE
    row: int = 0
    frames: int | None = None
    padded: bool = True
    begun: bool = False


class FrameAlignedLayout(AbsGridLayout):
    """One unit of each codebook a row, text where it is spoken.

    Args:
        inventory: What ids are drawn from.
        delay: Rows by which the first codebook comes after the text.
        layer_delay: Further rows for the codebooks after the first (all alike).
        pad_weight: Weight of PAD and MARK in the loss, and of padded units.
        first_codebook_weight: Weight of the first codebook's units.
    """

    needs = frozenset(("word_times",))
    word_kinds = frozenset((MARK, START))

    def __init__(
        self,
        inventory,
        delay: int = 0,
        layer_delay: int = 1,
        pad_weight: float = 0.5,
        first_codebook_weight: float = 1.0,
    ):
        super().__init__(inventory)
        self.pad_weight = pad_weight
        self.first_codebook_weight = first_codebook_weight
        extra = ((PAD, 1), (MARK, 1))
        self.text = Stream("text", TEXT, inventory.text, extra, TEXT_KINDS)
        self.pad, self.mark = self.text.id(PAD), self.text.id(MARK)
        books = range(inventory.codebooks)
        offsets = [delay + layer_delay * (book > 0) for book in books]
        self.units = UnitColumns(inventory, offsets)
        self.streams = (self.text, *self.units.streams)

    def place(self, utterance: Utterance) -> list[int]:
        """Find the rows of the text.

        Args:
            utterance: With word times.

        Returns:
            The row of each word's MARK; its tokens follow.
        """
        utterance.word_frames()  # checks the times
        last = max(len(utterance.units) - 1, 0)
        rows, free = [], 0
        for word, (begin, _) in zip(utterance.words, utterance.word_times):
            row = max(min(utterance.frame(begin), last) - 1, free)
            rows.append(row)
            free = row + 1 + len(word)
        return rows

    def text_column(self, utterance: Utterance, least: int) -> np.ndarray:
        """The text up to its last token.

        Args:
            utterance: With word times.
            least: Fewest rows; PAD fills them.

        Returns:
            Ids, (T,).
        """
        rows = self.place(utterance)
        ends = [row + 1 + len(word) for row, word in zip(rows, utterance.words)]
        column = np.full(max([least, *ends]), self.pad, dtype=np.int64)
        for row, end, word in zip(rows, ends, utterance.words):
            column[row] = self.mark
            column[row + 1 : end] = word
        return column

    def encode(self, utterance, rng=None):
        """See :meth:`AbsGridLayout.encode`."""
        frames = len(utterance.units)
        text = self.text_column(utterance, self.units.rows(frames) - 1)
        ids = np.full((len(text) + 1, len(self.streams)), self.pad, dtype=np.int64)
        ids[:-1, 0] = text
        padding = ids == self.pad
        self.units.write(ids, utterance.units)
        self.units.finish(ids, padding, frames)
        weights = np.where(padding, self.pad_weight, 1.0).astype(np.float32)
        weights[ids[:, 0] == self.mark, 0] = self.pad_weight
        weights[~padding[:, 1], 1] = self.first_codebook_weight
        return Grid(ids, weights, padding)

    def prompt(self, utterance):
        """See :meth:`AbsGridLayout.prompt`.

        Text is known up to the row before the last frame's, where the MARK of the next
        word could stand.
        """
        frames = len(utterance.units)
        text = self.text_column(utterance, max(frames - 1, 0))
        size = max(len(text), self.units.rows(frames) - 1)
        ids = np.full((size, len(self.streams)), HOLE, dtype=np.int64)
        ids[: len(text), 0] = text
        self.units.write(ids, utterance.units)
        return ids

    def decode(self, ids, tail=()):
        """See :meth:`AbsGridLayout.decode`: a word ends where the next one begins."""
        words: list[list[int]] = []
        starts: list[int] = []
        for row, token in enumerate(ids[:, 0].tolist()):
            if token == self.mark:
                words.append([])
                starts.append(row + 1)
            elif token != self.pad:
                words[-1].append(token)
        placed = [(tuple(word), row) for word, row in zip(words, starts) if word]
        rate = self.inventory.unit_rate
        times = [row / rate for _, row in placed] + [len(ids) / rate]
        return Utterance(
            words=tuple(word for word, _ in placed),
            units=self.units.read(ids),
            unit_rate=rate,
            word_times=tuple(zip(times, times[1:])),
        )

    def start(self):
        """See :meth:`AbsGridLayout.start`."""
        return FrameState()

    def resume(self, state):
        """See :meth:`AbsGridLayout.resume`."""
        return replace(state, text=state.text - {INSIDE})

    def allowed(self, state, row):
        """See :meth:`AbsGridLayout.allowed`."""
        if row:
            return self.units.allowed(state.row, state.frames, row)
        return IdSet(state.text)

    def advance(self, state, row):
        """See :meth:`AbsGridLayout.advance`."""
        marked, padded = row[0] == self.mark, row[0] == self.pad
        text = IDLE if padded else IN_WORD
        if marked:
            first = self.inventory.text.first
            text = frozenset((START,)) if state.begun else first
        return FrameState(
            text=text,
            row=state.row + 1,
            frames=self.units.frames(state.row, state.frames, row),
            padded=padded,
            begun=state.begun or marked,
        )

    def final(self, state):
        """See :meth:`AbsGridLayout.final`."""
        return state.padded and self.units.ended(state.row, state.frames)
