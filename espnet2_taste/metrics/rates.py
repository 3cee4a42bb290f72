"""Does a continuation keep the tempo of its prompt?

Enters: number of words and seconds of prompts and continuations. Leaves: words per
second of each and their correlation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from espnet2_taste.metrics.statistics import pearson
from espnet2_taste.structures import WordTiming


@dataclass(frozen=True)
class RateFollowing:
    """How the tempo carries over.

    Attributes:
        utterances: Continuations with at least one word on both sides.
        pearson: Correlation of words per second.
        prompt_mean: Mean tempo of the prompts, words per second.
        continuation_mean: Mean tempo of the continuations.
        left_out: Continuations without a measurable tempo.
    """

    utterances: int
    pearson: float
    prompt_mean: float
    continuation_mean: float
    left_out: int


def speaking_rate(timings: Sequence[WordTiming]) -> float:
    """Words per second from the first word's begin to the last word's end.

    Args:
        timings: Words with their times.

    Returns:
        The rate; nan without words or time.
    """
    seconds = timings[-1].end - timings[0].start if timings else 0.0
    return len(timings) / seconds if seconds > 0 else float("nan")


def follow_rates(
    prompts: Sequence[float], continuations: Sequence[float]
) -> RateFollowing:
    """Correlate the tempo of prompts and continuations.

    Args:
        prompts: Words per second of each prompt, (n,), nan where unknown.
        continuations: The same of each continuation, (n,).

    Returns:
        The result over pairs known on both sides.
    """
    first = np.asarray(prompts, dtype=np.float64)
    second = np.asarray(continuations, dtype=np.float64)
    known = np.isfinite(first) & np.isfinite(second)
    first, second = first[known], second[known]
    return RateFollowing(
        utterances=int(known.sum()),
        pearson=pearson(first, second),
        prompt_mean=float(first.mean()) if known.any() else float("nan"),
        continuation_mean=float(second.mean()) if known.any() else float("nan"),
        left_out=int((~known).sum()),
    )
