"""Which scored entries of an utterance belong to some of its words, for every design.

Enters: the fields of an utterance. Leaves: what the model reads of the utterance from a
word on, and which of the entries of ``UtteranceScores`` belong to given words.

Legend: N text tokens, W words, T rows, S streams, U units of a tail.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from espnet2_taste.slm.grid_data import GridPreprocessor
from espnet2_taste.text.preprocessor import TaslmPreprocessor


class AbsWordParts(ABC):
    """An utterance from a word on.

    Args:
        preprocessor: The data side of a design.
        name: Utterance id, for errors.
        fields: Of the whole utterance, with ``text``.
        first: Words that are left out at its beginning, fewer than it has.

    Attributes:
        data: What the model reads.
    """

    data: dict[str, np.ndarray]

    @abstractmethod
    def entries(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Entries of the words first .. last - 1, counted from what is left.

        Returns:
            Masks over ``UtteranceScores.text`` and ``speech``; the ends are in none.
        """


class TaslmParts(AbsWordParts):
    """Words with codes."""

    def __init__(
        self,
        preprocessor: TaslmPreprocessor,
        name: str,
        fields: Mapping[str, Any],
        first: int = 0,
    ):
        text = " ".join(fields["text"].split()[first:])
        self.data = preprocessor(name, {"text": text, "codes": fields["codes"][first:]})

    def entries(self, first, last):
        """See :meth:`AbsWordParts.entries`."""
        ids, words = self.data["word_ids"], np.arange(len(self.data["codes"]))
        text = (ids >= first) & (ids < last)
        return np.append(text, False), (words >= first) & (words < last)


class GridParts(AbsWordParts):
    """Rows of a layout; units of a tail belong to no words."""

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

    def entries(self, first, last):
        """See :meth:`AbsWordParts.entries`."""
        cells = (self._known(last) & ~self._known(first)).flatten()
        return cells, np.append(cells, np.zeros(len(self.data["tail"]), dtype=bool))

    def _known(self, count: int) -> np.ndarray:
        """Cells that the prompt of the first words gives, (T, S) bool."""
        grid = self.data["grid"]
        known = np.zeros(grid.shape, dtype=bool)
        count = min(count, len(self.utterance.words))
        if count:
            prompt = self.layout.prompt(self.utterance.first(count))[: len(grid)]
            known[: len(prompt)] = prompt == grid[: len(prompt)]
        return known
