"""Does a continuation keep the tempo of its prompt?

Enters: number of words and seconds of prompts and continuations. Leaves: words per
second of each and their correlation.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from espnet2_taste.metrics.statistics import mean, pearson
from espnet2_taste.structures import WordTiming


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
    prompts: Mapping[str, float], continuations: Mapping[str, float]
) -> dict[str, float]:
    """Correlate the tempo of prompts and continuations.

    Args:
        prompts: Words per second of each prompt, nan where unknown.
        continuations: The same of each continuation; may lack some.

    Returns:
        Over the ``utterances`` whose tempo is known on both sides: correlation
        ``pearson``, ``prompt_mean`` and ``continuation_mean`` in words per second; and
        how many are ``left_out``.
    """
    names = sorted(prompts)
    first = np.array([prompts[name] for name in names], dtype=np.float64)
    second = np.array([continuations.get(name, np.nan) for name in names])
    known = np.isfinite(first) & np.isfinite(second)
    first, second = first[known], second[known]
    return {
        "utterances": int(known.sum()),
        "pearson": pearson(first, second),
        "prompt_mean": mean(first),
        "continuation_mean": mean(second),
        "left_out": int((~known).sum()),
    }
