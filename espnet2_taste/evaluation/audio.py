"""Audio measures of renditions: every measure on every rendition of every set.

Enters: sets, renditions of them (folders with ``wav.scp``), and the measures. Leaves:
means with intervals for ``scores.json``, one table an utterance, and, beside them, the
numbers of each measure on each rendition, which are used again unless the audio or the
measure's settings have changed. A measure that cannot be had stands there with its
reason, and an utterance that has no number is listed with its own.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from espnet2_taste.data.ctm import write_rows
from espnet2_taste.data.files import read_json
from espnet2_taste.data.finished import digest
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.evaluation.audio_metrics.abs_metric import AbsAudioMetric, SetScores
from espnet2_taste.evaluation.noisy_sets import clean_recordings
from espnet2_taste.metrics.statistics import bootstrap_interval
from espnet2_taste.metrics.tables import format_number, write_json

ORIGINAL = "original"
VALUES = "values"


@dataclass(frozen=True)
class Rendition:
    """One rendition of a set.

    Attributes:
        label: Its name in tables.
        wavs: Audio of each utterance.
        references: What it is compared with; empty where nothing is.
    """

    label: str
    wavs: dict[str, str]
    references: dict[str, str]


def renditions_of(
    folder: Path, places: Mapping[str, Path], with_reference: bool
) -> list[Rendition]:
    """Renditions of a set, the recordings themselves first.

    A noisy set (``data noise``) is compared with its clean recordings, and so are
    its own; other recordings are not compared with themselves.

    Args:
        folder: The set.
        places: Parent folder of ``<set>/wav.scp`` by label.
        with_reference: Whether the renditions say what the recordings say.

    Returns:
        Those that there are.

    Raises:
        ValueError: There is none.
    """
    recorded, clean = read_table(folder / "wav.scp"), clean_recordings(folder)
    references = (clean or recorded) if with_reference else {}
    found = [Rendition(ORIGINAL, recorded, (clean or {}) if with_reference else {})]
    for label, place in places.items():
        table = place / folder.name / "wav.scp"
        if table.is_file():
            found.append(Rendition(label, read_table(table), references))
    if len(found) == 1:
        looked = ", ".join(str(place / folder.name) for place in places.values())
        raise ValueError(
            f"{folder.name}: expected wav.scp in some of {looked}, found none: "
            "resynthesize the set first (stage 9)"
        )
    return found


def score_renditions(
    sets: Mapping[str, list[Rendition]],
    metrics: Mapping[str, AbsAudioMetric],
    output: Path,
) -> dict:
    """Measure all renditions of all sets.

    Args:
        sets: Renditions of each set.
        metrics: Measures by name, in the order of tables.
        output: Where the tables and the numbers go.

    Returns:
        ``sets`` (by set, rendition and column: mean, interval, utterances) and
        ``not_scored`` (by set, rendition and measure: utterance to reason).
    """
    scores: dict = {"sets": {}, "not_scored": {}}
    for name, renditions in sets.items():
        values: dict[str, dict[str, dict[str, float]]] = {}
        reasons: dict[str, dict[str, dict[str, str]]] = {}
        for rendition in renditions:
            values[rendition.label], reasons[rendition.label] = {}, {}
            folder = output / VALUES / name / file_name(rendition.label)
            for metric_name, metric in metrics.items():
                if metric.needs_reference and not rendition.references:
                    continue
                found = score_once(metric, rendition, folder / f"{metric_name}.json")
                values[rendition.label] |= found.values
                if found.left_out:
                    reasons[rendition.label][metric_name] = found.left_out
        scores["sets"][name] = {
            label: {column: summarize(numbers) for column, numbers in columns.items()}
            for label, columns in values.items()
            if columns  # the recordings alone have none without a measure of their own
        }
        scores["not_scored"][name] = {k: v for k, v in reasons.items() if v}
        write_utterances(output / f"{name}.tsv", values)
    return scores


def score_once(metric: AbsAudioMetric, rendition: Rendition, kept: Path) -> SetScores:
    """Measure a rendition, or read what was measured before.

    Args:
        metric: The measure.
        rendition: What is measured.
        kept: File of the numbers, with what they were made from.

    Returns:
        Numbers and reasons.
    """
    references = rendition.references if metric.needs_reference else {}
    record = {
        "settings": metric.settings,
        "audio": digest(rendition.wavs.values(), contents=False),
        "references": digest(references.values(), contents=False),
    }
    if kept.is_file():
        content = read_json(kept)
        if content["made_from"] == record:
            return SetScores(content["values"], content["left_out"])
    found = metric.score_set(rendition.wavs, references)
    write_json(kept, {"made_from": record, **asdict(found)})
    return found


def file_name(label: str) -> str:
    """Name of the folder of a rendition.

    Example:
        >>> file_name("no VQ")
        'no_VQ'
    """
    return "".join(letter if letter.isalnum() else "_" for letter in label)


def summarize(numbers: Mapping[str, float]) -> dict[str, float | int]:
    """Mean over utterances with its 95 % bootstrap interval.

    Args:
        numbers: By utterance.

    Returns:
        ``mean``, ``low``, ``high``, ``utterances``; nan without utterances.
    """
    samples = list(numbers.values())
    low, high = bootstrap_interval(samples)
    mean = sum(samples) / len(samples) if samples else float("nan")
    return {"mean": mean, "low": low, "high": high, "utterances": len(samples)}


def write_utterances(
    path: Path, values: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> None:
    """Write a line for each utterance of each rendition.

    Args:
        path: The table.
        values: Numbers by rendition, column and utterance; "-" where there is none.
    """
    columns = list(dict.fromkeys(c for found in values.values() for c in found))
    rows = []
    for label, found in values.items():
        names = sorted({name for numbers in found.values() for name in numbers})
        for name in names:
            cells = [found.get(column, {}).get(name) for column in columns]
            rows.append((name, label, *(format_number(cell, 4) for cell in cells)))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_rows(path, ("utt", "rendition", *columns), rows)
