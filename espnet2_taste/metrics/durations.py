"""Do the words of two readings of one text last equally long?

Enters: word times of a reference and of a rendition, by the same aligner. Leaves:
correlations of word durations (all words pooled; within utterances, where neither
the speaker's nor the utterance's tempo helps), the share of words whose durations
agree within a tolerance, and the correlation of utterance lengths. The published
measure, duration consistency, is that share: of the words of all utterances whose two
readings have the same words, those that last equally long within 50 ms (paper, section
4.1). Whether that means +-50 or +-25 ms is not known, so the tolerance is an option,
stands in the result, and half of it is reported as well.

Legend: W words, all utterances together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from espnet2_taste.metrics.statistics import (
    mean,
    pearson,
    pearson_given,
    pearson_within,
)
from espnet2_taste.structures import WordTiming


@dataclass(frozen=True)
class WordPairs:
    """Words of one text in two readings.

    Attributes:
        utterances: Utterance of each word, (W,).
        reference: The words with their times in the first reading, (W,).
        rendition: The same in the second reading, (W,).
        left_out: Utterances that could not be compared, with the reason.
    """

    utterances: list[str]
    reference: list[WordTiming]
    rendition: list[WordTiming]
    left_out: dict[str, str]

    def durations(self) -> tuple[np.ndarray, np.ndarray]:
        """Durations in both readings, two arrays of (W,) seconds."""
        first = np.array([timing.duration for timing in self.reference])
        second = np.array([timing.duration for timing in self.rendition])
        return first, second


def pair_words(
    reference: Mapping[str, Sequence[WordTiming]],
    rendition: Mapping[str, Sequence[WordTiming]],
) -> WordPairs:
    """Match the words of two readings utterance by utterance.

    Args:
        reference: Word times of each utterance.
        rendition: Word times of each utterance of the other reading.

    Returns:
        All pairs; utterances that only the reference has, or whose words differ,
        are listed as left out.
    """
    pairs = WordPairs([], [], [], {})
    for name, timings in reference.items():
        others = rendition.get(name)
        if others is None:
            pairs.left_out[name] = "no rendition"
        elif [timing.word for timing in timings] != [timing.word for timing in others]:
            pairs.left_out[name] = "the words differ"
        else:
            pairs.utterances.extend([name] * len(timings))
            pairs.reference.extend(timings)
            pairs.rendition.extend(others)
    return pairs


def score_durations(pairs: WordPairs, tolerance: float = 0.05) -> dict[str, float]:
    """Compare the durations of paired words.

    Args:
        pairs: Words of two readings.
        tolerance: Seconds two durations may differ to count as equal.

    Returns:
        Numbers of ``words`` and ``utterances``; correlations, nan where they are
        undefined: ``pearson`` over all words, ``pearson_within`` utterances,
        ``pearson_beyond_letters`` (partial, given the words' numbers of letters: what
        is known of this reading, not of the spelling), ``length_pearson`` of utterance
        lengths, first to last word; ``share_within``, the share of words with
        |difference| below ``tolerance`` seconds, and ``share_within_half`` with half of
        it; ``mean_difference`` of rendition minus reference and
        ``mean_absolute_difference``, seconds.
    """
    first, second = pairs.durations()
    difference = second - first
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(pairs.utterances):
        rows.setdefault(name, []).append(row)
    lengths = [
        [timings[own[-1]].end - timings[own[0]].start for own in rows.values()]
        for timings in (pairs.reference, pairs.rendition)
    ]
    letters, far = [len(t.word) for t in pairs.reference], np.abs(difference)
    return {
        "words": len(difference),
        "utterances": len(rows),
        "pearson": pearson(first, second),
        "pearson_within": pearson_within(first, second, pairs.utterances),
        "pearson_beyond_letters": pearson_given(first, second, letters),
        "share_within": mean(far < tolerance),
        "share_within_half": mean(far < tolerance / 2),
        "tolerance": tolerance,
        "mean_difference": mean(difference),
        "mean_absolute_difference": mean(far),
        "length_pearson": pearson(*lengths),
    }
