"""What a sequence layout is: utterance -> grid, grid -> utterance, and its grammar.

Enters: an :class:`~espnet2_taste.slm.layouts.utterance.Utterance`. Leaves: a
:class:`Grid` of ids with the weight of each cell in the loss; and back. The package
docstring describes the idea.

Legend: T rows, S streams, X ids of a stream.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from espnet2_taste.slm.layouts.streams import START, IdSet, Inventory, Stream
from espnet2_taste.slm.layouts.utterance import Row, Utterance

HOLE = -1
"""A cell of a prompt that is not known."""


@dataclass(frozen=True, eq=False)
class Grid:
    """An utterance in rows.

    Attributes:
        ids: (T, S) int64.
        weights: Weight of each cell in the loss, (T, S) float32.
        padding: True at cells that carry nothing, (T, S) bool.
        tail: Units that no row holds: the target of a CTC head.
    """

    ids: np.ndarray
    weights: np.ndarray
    padding: np.ndarray
    tail: Row = ()

    @property
    def fields(self) -> dict[str, np.ndarray]:
        """What a batch is made of."""
        return {
            "grid": self.ids,
            "weights": self.weights,
            "padding": self.padding.astype(np.int64),
            "tail": np.array(self.tail, dtype=np.int64),
        }


class AbsLayout(ABC):
    """How utterances become rows: data only, without parameters.

    Two kinds: in :class:`AbsGridLayout` all columns are streams of ids; columns of
    ``AbsTextAlignedLayout`` behind the stream of text are the codes of words.

    Attributes:
        inventory: What ids are drawn from.
        streams: The first columns of a grid.
        needs: Fields of an utterance that must be given besides words and units.
        deduplicates: Decoded units stand for runs of unknown length.
        reference_compat: Whether labels are the published ones.
    """

    inventory: Inventory
    streams: tuple[Stream, ...]
    needs: frozenset[str] = frozenset()
    deduplicates: bool = False
    reference_compat = False

    @abstractmethod
    def encode(
        self, utterance: Utterance, rng: np.random.Generator | None = None
    ) -> Grid:
        """Lay an utterance out.

        Args:
            utterance: With all that the layout needs.
            rng: For layouts with chance in them; without it they take the form that
                is scored.

        Returns:
            A complete grid.
        """

    @abstractmethod
    def prompt(self, utterance: Utterance) -> np.ndarray:
        """Lay a beginning out in streams, to be continued.

        Args:
            utterance: The beginning, see ``Utterance.first``.

        Returns:
            Ids with ``HOLE`` where a stream has come to its end before the others,
            (T, S).
        """


class AbsGrammar(ABC):
    """What may come next in rows: all that generation must know of a design.

    Attributes:
        streams: The columns, in the order in which a row is written.
        inventory: What ids are drawn from.
        text_marks: Kinds that lead from speech to text, banned for speech alone.
        word_kinds: Kinds that begin a word: not written when there are words enough.
    """

    streams: tuple[Stream, ...]
    inventory: Inventory
    text_marks: frozenset[str] = frozenset()
    word_kinds: frozenset[str] = frozenset((START,))

    @abstractmethod
    def start(self) -> Any:
        """The state before the first row: a frozen value."""

    @abstractmethod
    def allowed(self, state: Any, row: Sequence[int]) -> IdSet:
        """What may come next.

        Args:
            state: Before this row.
            row: Cells of this row that are written, fewer than S.

        Returns:
            Ids of stream ``len(row)``.
        """

    @abstractmethod
    def advance(self, state: Any, row: Sequence[int]) -> Any:
        """The state after a row.

        Args:
            state: Before it.
            row: S ids that were allowed.
        """

    @abstractmethod
    def final(self, state: Any) -> bool:
        """Whether the utterance is complete."""

    def resume(self, state: Any) -> Any:
        """The state from which the text of a prompt goes on: with a new word.

        Args:
            state: Before the first row whose first stream is not known.
        """
        return state


class AbsGridLayout(AbsLayout, AbsGrammar):
    """A layout of ids with a grammar; subclasses are small.

    Args:
        inventory: What ids are drawn from.
    """

    def __init__(self, inventory: Inventory):
        self.inventory = inventory

    @abstractmethod
    def decode(self, ids: np.ndarray, tail: Row = ()) -> Utterance:
        """Recover the utterance from a grid, or what is there of it from its beginning.

        Args:
            ids: Rows that the grammar accepts, (T, S).
            tail: Units of a CTC head.

        Returns:
            What the layout keeps.
        """


def run_grammar(layout: AbsGrammar, ids: np.ndarray) -> Any:
    """Walk through rows.

    Args:
        layout: Whose grammar.
        ids: (T, S), no holes.

    Returns:
        The state after them.

    Raises:
        ValueError: A cell is not allowed.
    """
    state = layout.start()
    for number, row in enumerate(ids.tolist()):
        for index, stream in enumerate(layout.streams):
            allowed = layout.allowed(state, row[:index])
            if not stream.has(allowed, row[index]):
                raise ValueError(
                    f"row {number}, stream '{stream.name}': id {row[index]} is not "
                    f"one of {sorted(allowed.kinds)}; the grid is none of this layout"
                )
        state = layout.advance(state, row)
    return state
