"""Columns of units, one a codebook, each starting so many rows after the first row.

Shared by the layouts whose rows hold a unit of every codebook::

    unit 1  PAD  u1   u2  ..   uU   END  PAD
    unit 2  PAD  PAD  v1  v2   ..   vU   END

Every codebook has as many units as the first one, which alone chooses its END.

Legend: T rows, U units, Q codebooks.
"""

from collections.abc import Sequence

import numpy as np

from espnet2_taste.slm.layouts.streams import (
    END,
    PAD,
    SPEECH,
    UNIT,
    IdSet,
    Inventory,
    Stream,
)
from espnet2_taste.slm.layouts.utterance import Row


class UnitColumns:
    """Writes, reads and constrains the columns of units.

    Args:
        inventory: What ids are drawn from.
        offsets: First row of each codebook, Q numbers, not decreasing.

    Raises:
        ValueError: A negative or decreasing offset.

    Attributes:
        streams: Q streams.
        before: Columns of a row that stand before these: the text alone.
    """

    before = 1

    def __init__(self, inventory: Inventory, offsets: Sequence[int]):
        if list(offsets) != sorted(offsets) or offsets[0] < 0:
            raise ValueError(
                f"layout_conf: delays must be >= 0, found rows {list(offsets)} for the "
                "codebooks"
            )
        self.offsets = tuple(offsets)
        extra = ((UNIT, inventory.units), (END, 1), (PAD, 1))
        self.streams = tuple(
            Stream(f"unit_{book + 1}", SPEECH, None, extra)
            for book in range(len(self.offsets))
        )
        self.pad = self.streams[0].id(PAD)
        self.end = self.streams[0].id(END)

    def rows(self, frames: int) -> int:
        """Rows of so many units and their END."""
        return self.offsets[-1] + frames + 1

    def write(self, ids: np.ndarray, units: Sequence[Row]) -> None:
        """Write units without END into rows (T, 1 + Q); nothing before them stays."""
        for column, first in enumerate(self.offsets):
            ids[:first, self.before + column] = self.pad
            cells = [unit[column] for unit in units]  # ids of units begin at 0
            ids[first : first + len(cells), self.before + column] = cells

    def finish(self, ids: np.ndarray, padding: np.ndarray, frames: int) -> None:
        """Write END and what follows it, and mark what carries something.

        Args:
            ids: (T, 1 + Q).
            padding: (T, 1 + Q) bool, changed likewise.
            frames: U.
        """
        for column, first in enumerate(self.offsets, self.before):
            ids[first + frames, column] = self.end
            ids[first + frames + 1 :, column] = self.pad
            padding[:, column] = True
            padding[first : first + frames + 1, column] = False

    def read(self, ids: np.ndarray) -> tuple[Row, ...]:
        """Units that are complete in rows (T, 1 + Q)."""
        books = []
        for column, first in enumerate(self.offsets, self.before):
            cells = ids[first:, column].tolist()
            books.append([cell for cell in cells if cell < self.end])
        return tuple(zip(*books))

    def allowed(self, number: int, frames: int | None, row: Sequence[int]) -> IdSet:
        """What the next column may hold.

        Args:
            number: Of the row, from 0.
            frames: Units of the utterance, if known before this row.
            row: Cells of this row that are written.

        Returns:
            Ids of the column.
        """
        book = len(row) - self.before
        frame = number - self.offsets[book]
        if frame < 0:
            return IdSet(frozenset((PAD,)))
        frames = self.frames(number, frames, row)
        if book == 0 and frames is None:
            return IdSet(frozenset((UNIT, END) if frame else (UNIT,)))
        if frames is None or frame < frames:
            return IdSet(frozenset((UNIT,)))
        return IdSet(frozenset((END if frame == frames else PAD,)))

    def frames(self, number: int, frames: int | None, row: Sequence[int]) -> int | None:
        """Units of the utterance, if the first codebook has ended by this row."""
        if frames is not None or len(row) <= self.before:
            return frames
        ended = row[self.before] == self.end
        return number - self.offsets[0] if ended else None

    def ended(self, rows: int, frames: int | None) -> bool:
        """Whether all columns have written END within so many rows."""
        return frames is not None and rows >= self.rows(frames)
