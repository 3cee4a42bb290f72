"""How the next unit is drawn, and when an utterance may or must end.

Enters: logits of the next unit (B, K + 1), class K being the end. Leaves:
the chosen classes (B,). Every utterance draws from a random stream of its own, so a
batch gives the same units as its utterances alone.

Legend: B utterances, K units, C candidates.
"""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch


class UtteranceNoise:
    """Uniform numbers, one stream an utterance.

    Args:
        generators: A CPU generator for each utterance.
        block: Numbers drawn at a time, which saves calls and changes nothing.
    """

    def __init__(self, generators: Sequence[torch.Generator], block: int = 256):
        self.generators = list(generators)
        self.block = block
        self.drawn = torch.empty(len(self.generators), 0)  # (B, block)
        self.used = 0

    @classmethod
    def from_ids(cls, utterance_ids: Sequence[str], seed: int) -> "UtteranceNoise":
        """Streams that depend on the seed and the utterance's name only."""
        generators = []
        for name in utterance_ids:
            # The CPU generator reads 32 bits of its seed, so both go into those.
            mixed = zlib.crc32(f"{seed} {name}".encode())
            generators.append(torch.Generator().manual_seed(mixed))
        return cls(generators)

    def next(self) -> torch.Tensor:
        """One number in [0, 1) for each utterance, (B,)."""
        if self.used == self.drawn.size(1):
            rows = [torch.rand(self.block, generator=g) for g in self.generators]
            self.drawn, self.used = torch.stack(rows), 0
        self.used += 1
        return self.drawn[:, self.used - 1]

    def numbers(self, count: int) -> torch.Tensor:
        """The next numbers of each utterance, (B, count)."""
        drawn = [self.next() for _ in range(count)]
        return torch.stack(drawn, 1) if drawn else self.drawn[:, :0]

    def select(self, rows: torch.Tensor) -> None:
        """Keep only these utterances, given as indices (B',)."""
        rows = rows.cpu()
        self.generators = [self.generators[row] for row in rows.tolist()]
        self.drawn = self.drawn[rows]


class AbsUnitSampler(ABC):
    """Chooses the next unit of every utterance."""

    @abstractmethod
    def __call__(
        self, logits: torch.Tensor, end_allowed: torch.Tensor, noise: UtteranceNoise
    ) -> torch.Tensor:
        """Choose.

        Args:
            logits: (B, K + 1), the last class ends the utterance.
            end_allowed: False where the utterance is still too short, (B,).
            noise: Random streams of the B utterances.

        Returns:
            Classes, (B,) int64.
        """


class ArgmaxSampler(AbsUnitSampler):
    """The most probable class, or the best unit while the end is not allowed."""

    def __call__(self, logits, end_allowed, noise):
        """See ``AbsUnitSampler.__call__``."""
        best, end = logits.argmax(-1), logits.size(-1) - 1
        return torch.where(end_allowed, best, logits.narrow(-1, 0, end).argmax(-1))


class TopKSampler(AbsUnitSampler):
    """Draws among the K most probable classes in proportion to their probability.

    While the end is not allowed it is left out of the candidates, which has the same
    distribution as drawing again until something else comes.

    Args:
        top_k: Candidates; the published value is 25.
        temperature: Below one sharpens the distribution; the published value is 1.

    Raises:
        ValueError: Fewer than two candidates, or a temperature that is not positive.
    """

    def __init__(self, top_k: int = 25, temperature: float = 1.0):
        if top_k < 2:
            raise ValueError(
                f"top_k must be at least 2, got {top_k}; use the argmax sampler for 1"
            )
        if temperature <= 0:
            raise ValueError(
                f"temperature must be above 0, got {temperature}; use the argmax "
                "sampler for the limit"
            )
        self.top_k = top_k
        self.temperature = temperature

    def __call__(self, logits, end_allowed, noise):
        """See ``AbsUnitSampler.__call__``."""
        end = logits.size(-1) - 1
        scores, classes = logits.topk(min(self.top_k, end + 1), dim=-1)  # (B, C)
        too_early = (classes == end) & ~end_allowed.unsqueeze(1)
        scores = scores.masked_fill(too_early, float("-inf"))
        probabilities = (scores / self.temperature).softmax(-1)
        return draw(probabilities, classes, noise.next().to(scores))


def unit_sampler(top_k: int, temperature: float) -> AbsUnitSampler:
    """The sampler of these settings; one candidate or temperature 0 needs no chance.

    Raises:
        ValueError: A setting is out of range.
    """
    if temperature == 0 or top_k == 1:
        return ArgmaxSampler()
    return TopKSampler(top_k, temperature)


def draw(
    probabilities: torch.Tensor, classes: torch.Tensor, uniform: torch.Tensor
) -> torch.Tensor:
    """Choose one candidate a row by the inverse of the cumulative distribution.

    Args:
        probabilities: (B, C), any positive sum.
        classes: What the candidates stand for, (B, C).
        uniform: Numbers in [0, 1), (B,).

    Returns:
        (B,); never a candidate of probability zero.
    """
    cumulative = probabilities.cumsum(-1)
    target = uniform.unsqueeze(1) * cumulative[:, -1:]
    index = (cumulative <= target).sum(-1)
    # Rounding can reach the end of the row: fall back to the last possible candidate.
    possible = torch.arange(probabilities.size(1), device=classes.device)
    last = (possible * (probabilities > 0)).amax(-1)
    return classes.gather(1, torch.minimum(index, last).unsqueeze(1)).squeeze(1)


def unit_mixture(logits: torch.Tensor, temperature: float) -> torch.Tensor | None:
    """How much of each unit stands in the place of the one that was chosen.

    Args:
        logits: (..., K).
        temperature: 0 mixes nothing; 1 mixes by probability, below 1 favours likely
            units.

    Returns:
        Shares that sum to one, (..., K), or None.
    """
    return (logits / temperature).softmax(-1) if temperature > 0 else None


@dataclass(frozen=True)
class LengthRule:
    """Fewest and most units of an utterance, in proportion to its condition.

    The condition counts the text tokens and three more positions (start, speaker,
    task), as the published system does.

    Attributes:
        min_ratio: Units per position before the end is allowed.
        max_ratio: Units per position at which the utterance is cut.
    """

    min_ratio: float = 2.0
    max_ratio: float = 20.0

    def __post_init__(self):
        if not 0 <= self.min_ratio <= self.max_ratio:
            raise ValueError(
                "unit length ratios must satisfy 0 <= min_ratio <= max_ratio, got "
                f"{self.min_ratio} and {self.max_ratio}"
            )

    def bounds(self, text_lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Fewest and most units for texts of these lengths.

        Args:
            text_lengths: (B,).

        Returns:
            Two int64 tensors (B,).
        """
        condition = text_lengths.double() + 3
        return (condition * self.min_ratio).long(), (condition * self.max_ratio).long()


def units_of_steps(
    steps: Sequence[tuple[torch.Tensor, ...]], batch: int
) -> list[torch.Tensor]:
    """Units of each of the utterances, which end at different times, in order.

    Args:
        steps: Of each step the utterances (B',), their units, and which of them go on.
        batch: Utterances at first.
    """
    rows, units, going = (torch.cat(column).cpu() for column in zip(*steps))
    return [units[going & (rows == row)] for row in range(batch)]
