"""Audio measures of renditions: every measure on every rendition of every set.

Enters: sets, renditions of them (folders with ``wav.scp``), and the measures. Leaves:
means with intervals for ``scores.json``, one table an utterance, and, beside them, the
numbers of each measure on each rendition, which are used again unless the audio or the
measure's settings have changed. A measure that cannot be had stands there with its
reason, and an utterance that has no number is listed with its own. Jobs measure parts
of sets and leave their numbers in a folder of each part, which are then joined.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from espnet2_taste.data.ctm import write_rows
from espnet2_taste.data.files import read_json
from espnet2_taste.data.finished import digest
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.data.parts import find_parts
from espnet2_taste.evaluation.audio_metrics.abs_metric import AbsAudioMetric, SetScores
from espnet2_taste.evaluation.noisy_sets import clean_recordings
from espnet2_taste.metrics.statistics import mean_interval
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
    parts_dir: Path | None = None,
) -> dict:
    """Measure all renditions of all sets.

    Args:
        sets: Renditions of each set.
        metrics: Measures by name, in the order of tables.
        output: Where the tables and the numbers go.
        parts_dir: Where jobs have measured parts of the sets; None: nowhere.

    Returns:
        ``sets`` (by set, rendition and column: mean, interval, utterances) and
        ``not_scored`` (by set, rendition and measure: utterance to reason).
    """
    scores: dict = {"sets": {}, "not_scored": {}}
    for name, renditions in sets.items():
        parts = find_parts(parts_dir, name) if parts_dir else ()
        folder = output / VALUES / name
        values, reasons = measure(renditions, metrics, folder, parts)
        scores["sets"][name] = {
            label: {
                column: mean_interval(numbers.values())
                for column, numbers in columns.items()
            }
            for label, columns in values.items()
            if columns  # the recordings alone have none without a measure of their own
        }
        scores["not_scored"][name] = {k: v for k, v in reasons.items() if v}
        write_utterances(output / f"{name}.tsv", values)
    return scores


def measure(
    renditions: Sequence[Rendition],
    metrics: Mapping[str, AbsAudioMetric],
    folder: Path,
    parts: Sequence[Path] = (),
) -> tuple[dict[str, dict[str, dict]], dict[str, dict[str, dict]]]:
    """Take every measure of every rendition of one set or part.

    Args:
        renditions: What is measured.
        metrics: Measures by name.
        folder: Where the numbers are kept.
        parts: Such folders of all parts of the set, where jobs have measured it.

    Returns:
        Numbers by rendition, column and utterance; reasons by rendition, measure and
        utterance.
    """
    values: dict[str, dict[str, dict]] = {}
    reasons: dict[str, dict[str, dict]] = {}
    for rendition in renditions:
        values[rendition.label], reasons[rendition.label] = {}, {}
        for name, metric in metrics.items():
            if metric.needs_reference and not rendition.references:
                continue
            kept = Path(file_name(rendition.label), f"{name}.json")
            files = [part / kept for part in parts]
            found = score_once(metric, rendition, folder / kept, files)
            values[rendition.label] |= found.values
            if found.left_out:
                reasons[rendition.label][name] = found.left_out
    return values, reasons


def join_scores(
    files: Sequence[Path], metric: AbsAudioMetric, wavs: Mapping[str, str]
) -> SetScores:
    """What jobs have measured of the parts of a set.

    Args:
        files: Of each part.
        metric: The measure.
        wavs: Audio of each utterance of the set.

    Returns:
        Numbers and reasons of all of them.

    Raises:
        ValueError: An utterance is missing, or was measured with other settings.
    """
    joined = SetScores()
    for file in files:
        content = read_json(file) if file.is_file() else {"made_from": {}}
        if content["made_from"].get("settings") != metric.settings:
            raise ValueError(
                f"{file}: expected numbers with the settings {metric.settings}, found "
                f"{content['made_from'].get('settings')}; repeat the stage"
            )
        for column, numbers in content["values"].items():
            joined.values.setdefault(column, {}).update(numbers)
        joined.left_out.update(content["left_out"])
    missing = wavs.keys() - joined.left_out.keys()
    if missing := sorted(missing.difference(*joined.values.values())):
        raise ValueError(
            f"{files[0]} and those of the other parts lack {len(missing)} utterances, "
            f"for example '{missing[0]}'; repeat the stage"
        )
    return joined


def score_once(
    metric: AbsAudioMetric,
    rendition: Rendition,
    kept: Path,
    parts: Sequence[Path] = (),
) -> SetScores:
    """Measure a rendition, or read what was measured before.

    Args:
        metric: The measure.
        rendition: What is measured.
        kept: File of the numbers, with what they were made from.
        parts: Such files of all parts of the set, where jobs have measured it.

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
    if parts:
        found = join_scores(parts, metric, rendition.wavs)
    elif rendition.wavs:
        found = metric.score_set(rendition.wavs, references)
    else:  # a part of which nothing was made
        found = SetScores()
    write_json(kept, {"made_from": record, **asdict(found)})
    return found


def file_name(label: str) -> str:
    """Name of the folder of a rendition.

    Example:
        >>> file_name("no VQ")
        'no_VQ'
    """
    return "".join(letter if letter.isalnum() else "_" for letter in label)


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
