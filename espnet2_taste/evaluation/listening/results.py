"""What listeners' ratings say: screening, means with intervals, agreement.

Enters: ``key.tsv`` and ``study.json`` of a study and the files that listeners sent
back. Leaves: who was left out and why, a mean and an interval for every system and for
every difference of two, and how far the listeners agree.

Legend: L listeners, T items (utterances or recordings).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from espnet2_taste.data.ctm import read_rows
from espnet2_taste.data.files import read_json
from espnet2_taste.evaluation.listening.design import REFERENCE
from espnet2_taste.evaluation.listening.pages import KEY_HEADER
from espnet2_taste.metrics.ratings import (
    crossed_interval,
    krippendorff_alpha,
    mean_pairwise_correlation,
)


@dataclass(frozen=True)
class Rating:
    """One score.

    Attributes:
        listener: Who gave it.
        stimulus: Opaque name of the recording.
        system: Whose it is.
        utterance: Which one.
        score: On the study's scale.
    """

    listener: str
    stimulus: str
    system: str
    utterance: str
    score: float


def read_ratings(study_dir: Path, files: Sequence[Path]) -> list[Rating]:
    """Read what listeners sent back.

    Args:
        study_dir: Folder of the study.
        files: JSON files, one a listener.

    Returns:
        All ratings.

    Raises:
        ValueError: There is no file, or one is of another study, is damaged, holds
            unknown recordings or scores off the scale, or a listener is there twice.
    """
    if not files:
        raise ValueError(
            "no ratings: put the files that listeners sent back into the folder of "
            "--ratings (ratings_<study>_<listener>.json)"
        )
    study = _read_study(study_dir / "study.json")
    rows = read_rows(study_dir / "key.tsv", dict.fromkeys(KEY_HEADER, str))
    key = {row["stimulus"]: row for row in rows}
    ratings: list[Rating] = []
    came_from: dict[str, Path] = {}
    for path in files:
        listener, scores = _read_listener(path, study, key)
        if listener in came_from:
            raise ValueError(
                f"{path} and {came_from[listener]} are both of listener '{listener}'; "
                "keep one of them"
            )
        came_from[listener] = path
        for name, score in scores.items():
            row = key[name]
            ratings.append(Rating(listener, name, row["system"], row["utt"], score))
    return ratings


def _read_study(path: Path) -> dict:
    study = read_json(path)
    try:
        low, high = study["scale"]["low"], study["scale"]["high"]
        if low < high and study["id"]:
            return study
    except (LookupError, TypeError) as error:
        raise ValueError(
            f"{path}: {error!r} is missing; make the study again"
        ) from error
    raise ValueError(f"{path}: no id, or no scale from low to high; make it again")


def _read_listener(
    path: Path, study: Mapping, key: Mapping
) -> tuple[str, dict[str, float]]:
    """Name and scores of one listener, all of them checked."""
    content = read_json(path)
    try:
        found, listener = content["study"], str(content["listener"])
        rows = [(row["stimulus"], row["score"]) for row in content["ratings"]]
    except (LookupError, TypeError) as error:
        raise ValueError(
            f"{path}: expected a file that the page makes, {error!r} is missing; ask "
            "the listener for it again"
        ) from error
    if found != study["id"]:
        raise ValueError(
            f"{path}: it is of study '{found}', expected '{study['id']}'; use the "
            "folder that the page came from"
        )
    low, high = study["scale"]["low"], study["scale"]["high"]
    scores: dict[str, float] = {}
    for name, score in rows:
        if name not in key or name in scores:
            what = "twice" if name in scores else "but it is not in key.tsv"
            raise ValueError(f"{path}: recording '{name}' is there {what}")
        number = isinstance(score, (int, float)) and not isinstance(score, bool)
        if not number or not low <= score <= high:
            raise ValueError(
                f"{path}: recording '{name}' has the score {score!r}, expected a "
                f"number from {low} to {high}"
            )
        scores[name] = float(score)
    return listener, scores


def screen(
    ratings: Sequence[Rating], reference_below: float, most_missed: float
) -> dict[str, str]:
    """Find listeners who did not do the task.

    Args:
        ratings: Of all listeners.
        reference_below: A hidden reference rated lower counts as missed.
        most_missed: Share of missed references that is still accepted (BS.1534: 0.15).

    Returns:
        Reason by listener who is to be left out.
    """
    reasons = {}
    for listener in sorted({rating.listener for rating in ratings}):
        own = [rating for rating in ratings if rating.listener == listener]
        hidden = [r.score < reference_below for r in own if r.system == REFERENCE]
        if hidden and sum(hidden) > most_missed * len(hidden):
            reasons[listener] = (
                f"rated the hidden reference below {reference_below:g} in "
                f"{sum(hidden)} of {len(hidden)} trials"
            )
        elif len(own) > 1 and len({rating.score for rating in own}) == 1:
            reasons[listener] = f"gave {own[0].score:g} to all {len(own)} recordings"
    return reasons


def rating_matrix(
    ratings: Sequence[Rating], item: str, among: Sequence[Rating] = ()
) -> np.ndarray:
    """Arrange ratings by listener and item.

    Args:
        ratings: At most one for each listener and item.
        item: Attribute that names the item.
        among: Ratings whose listeners and items have a place; these if there are none.

    Returns:
        (L, T), nan where there is no rating; listeners and items sorted.
    """
    listeners = sorted({rating.listener for rating in among or ratings})
    items = sorted({getattr(rating, item) for rating in among or ratings})
    matrix = np.full((len(listeners), len(items)), np.nan)
    for rating in ratings:
        column = items.index(getattr(rating, item))
        matrix[listeners.index(rating.listener), column] = rating.score
    return matrix


def _measure(matrix: np.ndarray, seed: int) -> dict:
    """Mean and interval of a matrix with at least one number."""
    low, high = crossed_interval(matrix, seed=seed)
    return {"mean": float(np.nanmean(matrix)), "low": low, "high": high}


def summarize(ratings: Sequence[Rating], seed: int = 0) -> dict:
    """Means, differences and agreement of the listeners who are kept.

    Args:
        ratings: Of kept listeners.
        seed: Seed of the bootstrap.

    Returns:
        ``systems`` (``ratings``, ``mean``, ``low``, ``high``, ``median``),
        ``differences`` of all pairs of systems over what the same listeners heard of
        the same utterances, and ``agreement``.

    Raises:
        ValueError: There are no ratings.
    """
    if not ratings:
        raise ValueError(
            "every listener was left out: read the reasons, and change "
            "--reference_below or --most_missed if they are too strict"
        )
    by_system = _by_system(ratings)
    systems = {
        name: {
            "ratings": int((~np.isnan(matrix)).sum()),
            **_measure(matrix, seed),
            "median": float(np.nanmedian(matrix)),
        }
        for name, matrix in by_system.items()
    }
    everything = rating_matrix(ratings, "stimulus")
    agreement = {
        "krippendorff_alpha_interval": krippendorff_alpha(everything),
        "mean_pairwise_pearson": mean_pairwise_correlation(everything),
    }
    order = sorted(systems, key=lambda name: -systems[name]["mean"])
    return {
        "systems": {name: systems[name] for name in order},
        "differences": _differences(by_system, seed),
        "agreement": agreement,
    }


def _by_system(ratings: Sequence[Rating]) -> dict[str, np.ndarray]:
    """Ratings of each system, (L, T), the same listeners and utterances for all."""
    own: dict[str, list[Rating]] = {}
    for rating in sorted(ratings, key=lambda rating: rating.system):
        own.setdefault(rating.system, []).append(rating)
    return {s: rating_matrix(rows, "utterance", ratings) for s, rows in own.items()}


def _differences(by_system: Mapping[str, np.ndarray], seed: int) -> dict[str, dict]:
    """Mean differences of two systems where the same listeners heard both."""
    result = {}
    for first, second in combinations(by_system, 2):
        difference = by_system[first] - by_system[second]
        if not np.isnan(difference).all():
            result[f"{first} - {second}"] = _measure(difference, seed)
    return result
