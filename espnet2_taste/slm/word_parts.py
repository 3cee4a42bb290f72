"""Which scored entries of an utterance belong to some of its words, for every design.

Enters: the fields of an utterance. Leaves: what the model reads of the utterance from a
word on, and which of the entries of ``UtteranceScores`` belong to given words.

Legend: T rows, S streams, E entries.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from espnet2_taste.slm.grid_data import GridPreprocessor


class WordParts:
    """An utterance from a word on.

    Args:
        preprocessor: The data side of a design.
        name: Utterance id, for errors.
        fields: Of the whole utterance, with ``text``.
        first: Words that are left out at its beginning, fewer than it has.

    Attributes:
        data: What the model reads.
    """

    def __init__(
        self,
        preprocessor: GridPreprocessor,
        name: str,
        fields: Mapping[str, Any],
        first: int = 0,
    ):
        self.layout = preprocessor.layout
        self.utterance = preprocessor.reader(name, fields).rest(first)
        self.data = preprocessor.arrays(name, self.utterance)

    def entries(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Entries of the words first .. last - 1, counted from what is left.

        Returns:
            Masks (E,) over ``UtteranceScores.text`` and ``speech``; the ends are in
            none, nor are units of a tail, which belong to no words.
        """
        cells = self._known(last) & ~self._known(first)  # (T, S)
        speech, codes = cells, self.data["grid"][:, cells.shape[1] :]
        if codes.size:
            arrives = (codes >= 0).any(axis=1)
            word = arrives.cumsum() - 1
            inside = arrives & (first <= word) & (word < last)
            speech = np.column_stack([cells, inside])
        tail = np.zeros(len(self.data["tail"]), dtype=bool)
        return cells.flatten(), np.append(speech, tail)

    def _known(self, count: int) -> np.ndarray:
        """Cells that the prompt of the first words gives, (T, S) bool."""
        grid = self.data["grid"][:, : len(self.layout.streams)]
        known = np.zeros(grid.shape, dtype=bool)
        count = min(count, len(self.utterance.words))
        if count:
            prompt = self.layout.prompt(self.utterance.first(count))[: len(grid)]
            known[: len(prompt)] = prompt == grid[: len(prompt)]
        return known
