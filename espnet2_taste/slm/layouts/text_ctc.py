"""Text alone, one token a row: the cascade, and LLaMA-Omni with units beside the rows.

::

    text   w1 w2 .. wN END
    tail   u1 u2 ..            (deduplicated; no rows, predicted by a CTC head)
"""

from dataclasses import dataclass, replace

import numpy as np

from espnet2_taste.slm.layouts.abs_layout import AbsGridLayout, Grid
from espnet2_taste.slm.layouts.streams import (
    END,
    START,
    TEXT,
    TEXT_KINDS,
    IdSet,
    Stream,
)
from espnet2_taste.slm.layouts.utterance import Utterance, deduplicate


@dataclass(frozen=True)
class TextState:
    """State of the grammar.

    Attributes:
        opening: Kinds of text that may come next.
        begun: END may come next.
        ended: It came.
    """

    opening: frozenset[str]
    begun: bool = False
    ended: bool = False


class TextLayout(AbsGridLayout):
    """A string of text tokens; speech is made from them by somebody else."""

    def __init__(self, inventory):
        super().__init__(inventory)
        self.stream = Stream("text", TEXT, inventory.text, (), TEXT_KINDS | {END})
        self.streams = (self.stream,)

    def encode(self, utterance, rng=None):
        """See :meth:`AbsGridLayout.encode`."""
        end = [[self.inventory.text.end_id]]
        ids = np.append(self.prompt(utterance), end, axis=0)
        weights = np.ones(ids.shape, dtype=np.float32)
        padding = np.zeros(ids.shape, dtype=bool)
        return Grid(ids, weights, padding, self.tail(utterance))

    def tail(self, utterance: Utterance) -> tuple[int, ...]:
        """Units that no row holds."""
        return ()

    def prompt(self, utterance):
        """See :meth:`AbsGridLayout.prompt`: the transcript alone."""
        return np.array(utterance.tokens, dtype=np.int64).reshape(-1, 1)

    def decode(self, ids, tail=()):
        """See :meth:`AbsGridLayout.decode`."""
        end = self.inventory.text.end_id
        tokens = [token for token in ids[:, 0].tolist() if token != end]
        units = tuple((unit,) for unit in tail)
        return Utterance(words=self.inventory.text.group(tokens), units=units)

    def start(self):
        """See :meth:`AbsGridLayout.start`."""
        return TextState(self.inventory.text.first)

    def resume(self, state):
        """See :meth:`AbsGridLayout.resume`."""
        return replace(state, opening=frozenset((START,)))

    def allowed(self, state, row):
        """See :meth:`AbsGridLayout.allowed`."""
        return IdSet(state.opening | {END} if state.begun else state.opening)

    def advance(self, state, row):
        """See :meth:`AbsGridLayout.advance`."""
        return TextState(TEXT_KINDS, True, row[0] == self.inventory.text.end_id)

    def final(self, state):
        """See :meth:`AbsGridLayout.final`."""
        return state.ended


class TextCtcLayout(TextLayout):
    """Text tokens whose hidden states a CTC head turns into units (LLaMA-Omni)."""

    deduplicates = True

    def __init__(self, inventory):
        super().__init__(inventory)
        inventory.need_one_codebook("text_ctc")

    def tail(self, utterance):
        """See :meth:`TextLayout.tail`: the deduplicated units."""
        return deduplicate([unit for (unit,) in utterance.units])
