"""Word error rate over a corpus: errors and words are summed, rates never averaged.

Enters: pairs of word sequences. Leaves: counts of substitutions, deletions and
insertions and their rate.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from rapidfuzz.distance import Levenshtein


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

    def as_dict(self) -> dict[str, float]:
        """``rate`` and the counts by name."""
        return {"rate": self.rate, **asdict(self)}


def count_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> WordErrors:
    """Count the errors of the cheapest way from reference to hypothesis.

    Args:
        reference: Words spoken.
        hypothesis: Words recognised.

    Returns:
        The counts.

    Example:
        >>> count_errors("the red dog".split(), "the dog barks".split()).errors
        2
    """
    tags = Counter(step.tag for step in Levenshtein.editops(reference, hypothesis))
    steps = (tags["replace"], tags["delete"], tags["insert"])
    return WordErrors(*steps, words=len(reference))


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
