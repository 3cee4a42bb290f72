"""Text and units side by side, without alignment: the S3 baseline and Mini-Omni.

::

    row     0    1    2   ..                        (delay 1, layer_delay 1)
    text    w1   w2   ..  wN   END  PAD  PAD  ..
    unit 1  PAD  u1   u2  ..             uU   END  PAD
    unit 2  PAD  PAD  v1  v2  ..              vU   END

The text runs ahead of its sound by seconds; after its end it is padding to the last
row. With ``pad_with_end`` the padding is END itself (the paper's S3 baseline, whose
loss leaves it out: ``pad_weight: 0``). A text longer than its units is never cut: the
units are padded until it has ended.
"""

from dataclasses import dataclass, replace

import numpy as np

from espnet2_taste.slm.layouts.abs_layout import HOLE, AbsGridLayout, Grid
from espnet2_taste.slm.layouts.streams import (
    END,
    PAD,
    START,
    TEXT,
    TEXT_KINDS,
    IdSet,
    Stream,
)
from espnet2_taste.slm.layouts.unit_columns import UnitColumns
from espnet2_taste.slm.layouts.utterance import Utterance


@dataclass(frozen=True)
class ParallelState:
    """State of the grammar.

    Attributes:
        opening: Kinds of text that may come next.
        row: Rows so far.
        text_ended: The text's END has come.
        frames: Units of the utterance, known when the first codebook has ended.
    """

    opening: frozenset[str]
    row: int = 0
    text_ended: bool = False
    frames: int | None = None


class ParallelLayout(AbsGridLayout):
    """One text token beside one unit of each codebook.

    Args:
        inventory: What ids are drawn from.
        delay: Rows by which the first codebook starts after the text.
        layer_delay: Further rows for each codebook after the first.
        pad_weight: Weight of padding in the loss.
        pad_with_end: The text is padded with END instead of an id of its own.
    """

    def __init__(
        self,
        inventory,
        delay: int = 0,
        layer_delay: int = 0,
        pad_weight: float = 0.0,
        pad_with_end: bool = True,
    ):
        super().__init__(inventory)
        self.pad_weight = pad_weight
        text_pad = () if pad_with_end else ((PAD, 1),)
        text_kinds = TEXT_KINDS | {END}
        self.text = Stream("text", TEXT, inventory.text, text_pad, text_kinds)
        self.text_pad_kind = END if pad_with_end else PAD
        self.end_id = inventory.text.end_id
        self.text_pad = self.end_id if pad_with_end else self.text.id(PAD)
        books = range(inventory.codebooks)
        self.units = UnitColumns(inventory, [delay + layer_delay * b for b in books])
        self.streams = (self.text, *self.units.streams)

    def encode(self, utterance, rng=None):
        """See :meth:`AbsGridLayout.encode`."""
        tokens, frames = utterance.tokens, len(utterance.units)
        size = max(len(tokens) + 1, self.units.rows(frames))
        ids = np.zeros((size, len(self.streams)), dtype=np.int64)
        padding = np.zeros(ids.shape, dtype=bool)
        ids[: len(tokens), 0] = tokens
        ids[len(tokens), 0] = self.end_id
        ids[len(tokens) + 1 :, 0] = self.text_pad
        padding[len(tokens) + 1 :, 0] = True
        self.units.write(ids, utterance.units)
        self.units.finish(ids, padding, frames)
        weights = np.where(padding, self.pad_weight, 1.0).astype(np.float32)
        return Grid(ids, weights, padding)

    def prompt(self, utterance):
        """See :meth:`AbsGridLayout.prompt`: the shorter stream has holes at its end."""
        tokens = utterance.tokens
        size = max(len(tokens), self.units.rows(len(utterance.units)) - 1)
        ids = np.full((size, len(self.streams)), HOLE, dtype=np.int64)
        ids[: len(tokens), 0] = tokens
        self.units.write(ids, utterance.units)
        return ids

    def decode(self, ids, tail=()):
        """See :meth:`AbsGridLayout.decode`."""
        ended = np.flatnonzero(ids[:, 0] == self.end_id)
        tokens = ids[: ended[0] if len(ended) else len(ids), 0].tolist()
        words = self.inventory.text.group(tokens)
        return Utterance(words=words, units=self.units.read(ids))

    def start(self):
        """See :meth:`AbsGridLayout.start`."""
        return ParallelState(self.inventory.text.first)

    def resume(self, state):
        """See :meth:`AbsGridLayout.resume`."""
        return replace(state, opening=frozenset((START,)))

    def allowed(self, state, row):
        """See :meth:`AbsGridLayout.allowed`."""
        if row:
            return self.units.allowed(state.row, state.frames, row)
        if state.text_ended:
            return IdSet(frozenset((self.text_pad_kind,)))
        return IdSet(state.opening | {END} if state.row else state.opening)

    def advance(self, state, row):
        """See :meth:`AbsGridLayout.advance`."""
        return ParallelState(
            opening=TEXT_KINDS,
            row=state.row + 1,
            text_ended=state.text_ended or row[0] == self.end_id,
            frames=self.units.frames(state.row, state.frames, row),
        )

    def final(self, state):
        """See :meth:`AbsGridLayout.final`: every stream has written its END."""
        return state.text_ended and self.units.ended(state.row, state.frames)
