"""Scores against the ratio of speech to noise, in one table.

Enters: studies of ``bin/taste_score`` and ``bin/audio_score`` on clean sets and on
their noisy copies. Leaves: for each clean set and kind of noise, the scores of each
rendition from clean to the loudest noise. Renditions of noisy speech are compared with
the clean recordings.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from espnet2_taste.data.files import read_json
from espnet2_taste.evaluation.noisy_sets import RECORD
from espnet2_taste.metrics.tables import dig

CLEAN = "clean"
TOKENIZER_COLUMNS = {
    "WER %": ("wer", "rate"),
    "duration consistency": ("durations", "share_within"),
    "duration r": ("durations", "pearson"),
    "F0 r": ("pitch", "pearson"),
}


def set_scores(studies: Iterable[Mapping]) -> dict[str, dict[str, dict[str, float]]]:
    """Flatten studies.

    Args:
        studies: Contents of ``scores.json`` files.

    Returns:
        Numbers by set, rendition and column; later studies add to earlier ones.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for study in studies:
        for name, renditions in study["sets"].items():
            for label, scores in renditions.items():
                row = found.setdefault(name, {}).setdefault(label, {})
                if "metrics" in study:
                    row |= {column: value["mean"] for column, value in scores.items()}
                else:
                    row |= _tokenizer_numbers(scores)
    return found


def _tokenizer_numbers(scores: Mapping) -> dict[str, float]:
    """Numbers of ``TOKENIZER_COLUMNS`` that there are."""
    numbers = {}
    for column, path in TOKENIZER_COLUMNS.items():
        value = dig(scores, *path)
        if value is not None:
            numbers[column] = 100 * value if column.endswith("%") else value
    return numbers


def collect_noise(studies: Iterable[Mapping], dump_dir: Path) -> list[dict]:
    """Order scores by set, kind of noise and ratio.

    Args:
        studies: Of clean and noisy sets.
        dump_dir: Where the sets are; ``noise.json`` marks the noisy ones.

    Returns:
        Groups with ``source``, ``noise``, ``columns`` and ``rows`` (``snr``,
        ``rendition`` and the columns).

    Raises:
        ValueError: No set is noisy.
    """
    scores = set_scores(studies)
    noisy: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for name in scores:
        record = dump_dir / name / RECORD
        if record.is_file():
            made = read_json(record)
            kind = made["noise"].replace("_", "-")
            noisy.setdefault((made["source"], kind), []).append((made["snr_db"], name))
    if not noisy:
        raise ValueError(
            f"none of the sets {' '.join(scores)} has {RECORD} in {dump_dir}: make "
            "noisy sets with data noise, score them, and name their scores.json"
        )
    groups = []
    for (source, kind), sets in noisy.items():
        order = [(CLEAN, source)] if source in scores else []
        order += [(f"{snr:g}", name) for snr, name in sorted(sets, reverse=True)]
        rows = [
            {"snr": snr, "rendition": label, **numbers}
            for snr, name in order
            for label, numbers in scores[name].items()
        ]
        columns = dict.fromkeys(key for row in rows for key in row)
        columns = [c for c in columns if c not in ("snr", "rendition")]
        groups.append(
            {"source": source, "noise": kind, "columns": columns, "rows": rows}
        )
    return groups
