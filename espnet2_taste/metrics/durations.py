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

from espnet2_taste.metrics.statistics import pearson, pearson_given, pearson_within
from espnet2_taste.structures import WordTiming


@dataclass(frozen=True)
class WordPairs:
    """Words of one text in two readings.

    Attributes:
        utterances: Utterance of each word, (W,).
        words: The words, (W,).
        reference: Their times in the first reading, (W,).
        rendition: Their times in the second reading, (W,).
        left_out: Utterances that could not be compared, with the reason.
    """

    utterances: tuple[str, ...]
    words: tuple[str, ...]
    reference: tuple[WordTiming, ...]
    rendition: tuple[WordTiming, ...]
    left_out: tuple[tuple[str, str], ...]

    def durations(self) -> tuple[np.ndarray, np.ndarray]:
        """Durations in both readings, two arrays of (W,) seconds."""
        first = np.array([timing.duration for timing in self.reference])
        second = np.array([timing.duration for timing in self.rendition])
        return first, second


@dataclass(frozen=True)
class DurationScores:
    """Agreement of durations.

    Attributes:
        words: Number of word pairs.
        utterances: Number of utterances.
        pearson: Correlation over all words.
        pearson_within: Correlation within utterances.
        pearson_beyond_letters: Partial correlation, given the words' numbers of
            letters: what is known of this reading, and not of the spelling.
        share_within: Share of words with |difference| below ``tolerance``.
        share_within_half: The same with half the tolerance.
        tolerance: That tolerance in seconds.
        mean_difference: Mean of rendition minus reference, seconds.
        mean_absolute_difference: Mean of |rendition - reference|, seconds.
        length_pearson: Correlation of utterance lengths, first to last word.
    """

    words: int
    utterances: int
    pearson: float
    pearson_within: float
    pearson_beyond_letters: float
    share_within: float
    share_within_half: float
    tolerance: float
    mean_difference: float
    mean_absolute_difference: float
    length_pearson: float


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
    names, words, first, second, left_out = [], [], [], [], []
    for name, timings in reference.items():
        others = rendition.get(name)
        if others is None:
            left_out.append((name, "no rendition"))
            continue
        spoken = [timing.word for timing in timings]
        if spoken != [timing.word for timing in others]:
            left_out.append((name, "the words differ"))
            continue
        names.extend([name] * len(spoken))
        words.extend(spoken)
        first.extend(timings)
        second.extend(others)
    return WordPairs(
        tuple(names), tuple(words), tuple(first), tuple(second), tuple(left_out)
    )


def score_durations(pairs: WordPairs, tolerance: float = 0.05) -> DurationScores:
    """Compare the durations of paired words.

    Args:
        pairs: Words of two readings.
        tolerance: Seconds two durations may differ to count as equal.

    Returns:
        The scores; correlations are nan where they are undefined.
    """
    first, second = pairs.durations()
    difference = second - first
    lengths = np.array(
        [
            (_length(pairs.reference, rows), _length(pairs.rendition, rows))
            for rows in _rows_by_utterance(pairs.utterances)
        ]
    ).reshape(-1, 2)
    letters = [len(word) for word in pairs.words]
    some = len(difference) > 0
    return DurationScores(
        words=len(difference),
        utterances=len(lengths),
        pearson=pearson(first, second),
        pearson_within=pearson_within(first, second, pairs.utterances),
        pearson_beyond_letters=pearson_given(first, second, letters),
        share_within=_share_below(difference, tolerance),
        share_within_half=_share_below(difference, tolerance / 2),
        tolerance=tolerance,
        mean_difference=_mean(difference) if some else float("nan"),
        mean_absolute_difference=_mean(np.abs(difference)) if some else float("nan"),
        length_pearson=pearson(lengths[:, 0], lengths[:, 1]),
    )


def _share_below(difference: np.ndarray, tolerance: float) -> float:
    """Share of differences that are smaller than the tolerance, nan without any."""
    return _mean(np.abs(difference) < tolerance) if len(difference) else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values))


def _rows_by_utterance(utterances: Sequence[str]) -> list[list[int]]:
    """Rows of each utterance, in order of first appearance."""
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(utterances):
        rows.setdefault(name, []).append(row)
    return list(rows.values())


def _length(timings: Sequence[WordTiming], rows: list[int]) -> float:
    """Seconds from the begin of the first to the end of the last of these words."""
    return timings[rows[-1]].end - timings[rows[0]].start
