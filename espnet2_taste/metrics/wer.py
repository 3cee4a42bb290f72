"""Word error rate over a corpus: errors and words are summed, rates never averaged.

Enters: pairs of word sequences. Leaves: counts of substitutions, deletions and
insertions and their rate.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class WordErrors:
    """Errors of one or many utterances.

    Attributes:
        substitutions: Words replaced.
        deletions: Words missing in the hypothesis.
        insertions: Words only in the hypothesis.
        words: Words of the reference.
    """

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    words: int = 0

    def __add__(self, other: "WordErrors") -> "WordErrors":
        return WordErrors(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.words + other.words,
        )

    @property
    def errors(self) -> int:
        """All errors."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per reference word; nan without reference words."""
        return self.errors / self.words if self.words else float("nan")


def count_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> WordErrors:
    """Count the errors of the cheapest way from reference to hypothesis.

    Among equally cheap ways substitutions are preferred to a deletion and an
    insertion.

    Args:
        reference: Words spoken.
        hypothesis: Words recognised.

    Returns:
        The counts.

    Example:
        >>> count_errors("the red dog".split(), "the dog barks".split()).errors
        2
    """
    # each cell: (cost, substitutions, deletions, insertions)
    row = [(i, 0, 0, i) for i in range(len(hypothesis) + 1)]
    for count, word in enumerate(reference, start=1):
        diagonal, row[0] = row[0], (count, 0, count, 0)
        for column, other in enumerate(hypothesis, start=1):
            above = row[column]
            best = _replaced(diagonal, word != other)
            best = min(best, _deleted(above), _inserted(row[column - 1]), key=_cost)
            diagonal, row[column] = above, best
    _, substitutions, deletions, insertions = row[-1]
    return WordErrors(substitutions, deletions, insertions, len(reference))


def total_errors(
    pairs: Iterable[tuple[Sequence[str], Sequence[str]]],
) -> WordErrors:
    """Sum the errors of many utterances.

    Args:
        pairs: Reference and hypothesis of each utterance.

    Returns:
        Summed counts.
    """
    return sum((count_errors(r, h) for r, h in pairs), WordErrors())


def _cost(cell: tuple[int, int, int, int]) -> int:
    return cell[0]


def _replaced(cell: tuple[int, int, int, int], differs: bool):
    cost, substitutions, deletions, insertions = cell
    return cost + differs, substitutions + differs, deletions, insertions


def _deleted(cell: tuple[int, int, int, int]):
    cost, substitutions, deletions, insertions = cell
    return cost + 1, substitutions, deletions + 1, insertions


def _inserted(cell: tuple[int, int, int, int]):
    cost, substitutions, deletions, insertions = cell
    return cost + 1, substitutions, deletions, insertions + 1
