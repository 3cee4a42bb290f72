"""Token swap as a measured study (paper, figure on token exchange).

A text is read twice, slowly and fast or by two voices. The codes of a few words change
places between the readings, both are rendered again, each with its own speaker
embedding, and durations and F0 of all words are measured. If a code describes its own
word and nothing else, swapped words take the other reading's duration and their
neighbours keep theirs; F0 shows whether codes or the speaker embedding bring the voice.
This module holds the design and the arithmetic; the networks are driven by
``bin/taste_swap.py``.

Legend: W words, Q codebooks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from espnet2_taste.metrics.statistics import mean, utterance_rng
from espnet2_taste.structures import WordTiming

DIRECTIONS = {"slow": -1, "fast": 1}
"""Kinds of readings whose swapped words should all become shorter, or longer."""
LEAST_SECONDS = 0.02
FARTHEST = 3
"""Words from a swapped one up to which leakage is measured."""
LEAST_SEMITONES = 1.0
"""Words whose two readings are nearer than that have no way between them."""


@dataclass(frozen=True)
class SwapReading:
    """One reading before and after the swap.

    Attributes:
        name: Utterance.
        kind: What the reading is, e.g. "slow"; see ``DIRECTIONS``.
        other_kind: What the other reading is.
        chosen: Indices of the swapped words.
        own: Word times with its own codes, (W,).
        swapped: Word times after the swap, (W,).
        other: Word times of the other reading with its own codes, (W,).
        pitch: Mean F0 of the words in these three, Hz, nan where unvoiced, (W,) each;
            or None.
    """

    name: str
    kind: str
    other_kind: str
    chosen: tuple[int, ...]
    own: tuple[WordTiming, ...]
    swapped: tuple[WordTiming, ...]
    other: tuple[WordTiming, ...]
    pitch: Sequence[np.ndarray] | None = field(default=None, compare=False)


def choose_words(
    name: str, num_words: int, seed: int = 0, share: float = 0.25
) -> tuple[int, ...]:
    """Choose the words to swap: at random, but no two neighbours.

    The choice depends on the name and the seed alone, so it is the same in every run
    and does not change when other utterances are added.

    Args:
        name: Name of the pair.
        num_words: W.
        seed: Seed of the study.
        share: Share of the words to choose; at least one is chosen.

    Returns:
        Indices in ascending order.
    """
    rng = utterance_rng(seed, name)
    wanted = max(1, round(share * num_words))
    chosen: list[int] = []
    for index in rng.permutation(num_words).tolist():
        if len(chosen) < wanted and all(abs(index - other) > 1 for other in chosen):
            chosen.append(index)
    return tuple(sorted(chosen))


def exchange(
    first: np.ndarray, second: np.ndarray, chosen: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Let the codes of chosen words change places.

    Args:
        first: Codes of one reading, (W, Q).
        second: Codes of the other, (W, Q).
        chosen: Indices of the words.

    Returns:
        Both readings after the swap; the inputs stay as they are.

    Raises:
        ValueError: The readings have different numbers of words.
    """
    if first.shape != second.shape:
        raise ValueError(
            f"expected two readings of one text, found codes of shape {first.shape} "
            f"and {second.shape}; check that pairs.tsv joins equal texts"
        )
    mixed_first, mixed_second = first.copy(), second.copy()
    rows = list(chosen)
    mixed_first[rows], mixed_second[rows] = second[rows], first[rows]
    return mixed_first, mixed_second


def score_swaps(readings: Sequence[SwapReading]) -> dict[str, float]:
    """Measure what the swap did to durations.

    Args:
        readings: Both readings of every pair.

    Returns:
        Numbers of ``readings``, ``swapped_words`` and ``unswapped_words``, and, nan
        where nothing was swapped:

        - ``share_right``: Share of swapped words whose duration moved the right way (a
          duration that did not change counts as wrong): that of the reading's kind, or
          towards the other reading where these differ by 20 ms or more;
          ``share_right_slow`` and ``share_right_fast`` of words that should become
          shorter, and longer.
        - ``way``: Median of how far swapped words went, 1 being the other reading's
          duration; over words whose two readings differ by 20 ms or more.
        - ``unswapped_change``: Median of |change| / duration of the other words, and
          ``unswapped_change_neighbours`` of those next to a swapped one.
    """
    parts = [_measure(reading) for reading in readings]
    right, towards, way, change, neighbours = (
        np.concatenate(column) if column else np.zeros(0)
        for column in (list(zip(*parts)) or [()] * 5)
    )
    return {
        "readings": len(readings),
        "swapped_words": len(right),
        "share_right": mean(right),
        "share_right_slow": mean(right[towards < 0]),
        "share_right_fast": mean(right[towards > 0]),
        "way": _median(way),
        "unswapped_words": len(change),
        "unswapped_change": _median(change),
        "unswapped_change_neighbours": _median(change[neighbours.astype(bool)]),
    }


def measure_leakage(readings: Sequence[SwapReading]) -> list[dict[str, float]]:
    """Durations by distance from the nearest swapped word.

    Args:
        readings: Both readings of every pair.

    Returns:
        A curve: for each ``distance`` in words from 0, the swapped ones, to
        ``FARTHEST`` the number of ``words``, the median ``change`` (|change| /
        duration) and the median ``way`` towards the other reading, 1 being its
        duration, over words whose two readings differ by 20 ms or more; nan where there
        are none.
    """
    parts = [np.zeros((3, 0))]
    for reading in readings:
        timings = (reading.own, reading.swapped, reading.other)
        own, swapped, other = map(_durations, timings)
        move, way = swapped - own, other - own
        places = np.subtract.outer(np.arange(len(own)), reading.chosen)
        far = np.abs(way) >= LEAST_SECONDS
        ways = np.divide(move, way, np.full_like(own, np.nan), where=far)
        change = np.abs(move) / own.clip(min=0.01)
        parts.append(np.stack([np.abs(places).min(axis=1), change, ways]))
    distances, changes, ways = np.concatenate(parts, axis=1)
    curve = []
    for distance in range(FARTHEST + 1):
        there = distances == distance
        point = {"distance": distance, "words": int(there.sum())}
        point["change"] = _median(changes[there])
        curve.append(point | {"way": _median(ways[there & np.isfinite(ways)])})
    return curve


def score_pitch_swaps(readings: Sequence[SwapReading]) -> dict[str, float]:
    """Measure what the swap did to F0.

    Args:
        readings: Both readings of every pair, with ``pitch``.

    Returns:
        ``swapped_words`` whose two readings differ by a semitone or more, the median
        ``way`` that they went, 1 being the other reading's F0, voiced
        ``unswapped_words`` and the median of their change, ``unswapped_semitones``; nan
        where nothing was swapped.
    """
    ways, changes = [np.zeros(0)], [np.zeros(0)]
    for reading in readings:
        (own, swapped, other), chosen = reading.pitch, _marks(reading)
        move = 12 * np.log2(swapped / own)  # nan where unvoiced
        distance = 12 * np.log2(other / own)
        far = chosen & np.isfinite(move) & (np.abs(distance) >= LEAST_SEMITONES)
        ways.append(move[far] / distance[far])
        changes.append(np.abs(move[~chosen & np.isfinite(move)]))
    way, change = np.concatenate(ways), np.concatenate(changes)
    scores = {"swapped_words": len(way), "way": _median(way)}
    moved = {"unswapped_words": len(change), "unswapped_semitones": _median(change)}
    return scores | moved


def _marks(reading: SwapReading) -> np.ndarray:
    """Which words were swapped, (W,) bool."""
    chosen = np.zeros(len(reading.own), dtype=bool)
    chosen[list(reading.chosen)] = True
    return chosen


def _measure(reading: SwapReading) -> tuple[np.ndarray, ...]:
    """One reading: of swapped words whether they moved right, their direction and how
    far they went; of the others their relative change and whether they are beside."""
    own, swapped, other = map(_durations, (reading.own, reading.swapped, reading.other))
    chosen = _marks(reading)
    padded = np.pad(chosen, 1)
    beside = padded[:-2] | padded[2:]
    move, distance = swapped - own, other - own
    far = chosen & (np.abs(distance) >= LEAST_SECONDS)
    if reading.kind in DIRECTIONS:
        judged, towards = chosen, np.full(len(own), DIRECTIONS[reading.kind])
    else:
        judged, towards = far, np.sign(distance)
    return (
        move[judged] * towards[judged] > 0,
        towards[judged],
        move[far] / distance[far],
        np.abs(move[~chosen]) / own[~chosen].clip(min=0.01),
        beside[~chosen],
    )


def _durations(timings: Sequence[WordTiming]) -> np.ndarray:
    return np.array([timing.duration for timing in timings])


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else float("nan")
