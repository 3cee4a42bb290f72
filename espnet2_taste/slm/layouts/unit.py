"""Units alone, one a row: GSLM and TWIST.

::

    unit   u1 u2 .. uU END

The text vocabulary is replaced: the stream has ids of units and END only.
"""

from dataclasses import dataclass

import numpy as np

from espnet2_taste.slm.layouts.abs_layout import AbsGridLayout, Grid
from espnet2_taste.slm.layouts.streams import END, SPEECH, UNIT, IdSet, Stream
from espnet2_taste.slm.layouts.utterance import Utterance, deduplicate

NOTHING: frozenset[int] = frozenset()


@dataclass(frozen=True)
class UnitState:
    """State of the grammar.

    Attributes:
        last: The last unit, empty before the first.
        ended: END was written.
    """

    last: frozenset[int] = NOTHING
    ended: bool = False


class UnitLayout(AbsGridLayout):
    """A string of units.

    Args:
        inventory: What ids are drawn from.
        deduplicate: Leave one of each run of equal units; a duration predictor gives
            the lengths back when the units are spoken.
    """

    def __init__(self, inventory, deduplicate: bool = True):
        super().__init__(inventory)
        inventory.need_one_codebook("unit")
        self.deduplicates = deduplicate
        extra = ((UNIT, inventory.units), (END, 1))
        self.stream = Stream("unit", SPEECH, None, extra)
        self.streams = (self.stream,)

    def encode(self, utterance, rng=None):
        """See :meth:`AbsGridLayout.encode`."""
        ids = np.append(self.prompt(utterance), [[self.stream.id(END)]], axis=0)
        weights = np.ones(ids.shape, dtype=np.float32)
        return Grid(ids, weights, np.zeros(ids.shape, dtype=bool))

    def prompt(self, utterance):
        """See :meth:`AbsGridLayout.prompt`; all streams end at the same row."""
        units = [unit for (unit,) in utterance.units]
        units = deduplicate(units) if self.deduplicates else units
        ids = [self.stream.id(UNIT, unit) for unit in units]
        return np.array(ids, dtype=np.int64).reshape(-1, 1)

    def decode(self, ids, tail=()):
        """See :meth:`AbsGridLayout.decode`: units only."""
        column = ids[:, 0].tolist()
        units = [i for i in column if self.stream.is_kind(UNIT, i)]
        return Utterance(units=tuple((self.stream.index(UNIT, i),) for i in units))

    def start(self):
        """See :meth:`AbsGridLayout.start`."""
        return UnitState()

    def allowed(self, state, row):
        """See :meth:`AbsGridLayout.allowed`."""
        kinds = {UNIT, END} if state.last else {UNIT}
        return IdSet(frozenset(kinds), state.last if self.deduplicates else NOTHING)

    def advance(self, state, row):
        """See :meth:`AbsGridLayout.advance`."""
        return UnitState(frozenset(row), self.stream.is_kind(END, row[0]))

    def final(self, state):
        """See :meth:`AbsGridLayout.final`."""
        return state.ended
