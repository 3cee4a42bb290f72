"""Listening tests as folders: open ``index.html`` from disk, send back one file.

Enters: folders with ``wav.scp`` of the systems and a design. Leaves a folder with
``page/`` (``index.html`` and ``audio/``: all that listeners get; nothing is fetched
from anywhere), ``key.tsv`` (which recording is whose: keep it), ``study.json`` and
``left_out.tsv``.
"""

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from espnet2_taste.data.audio import load_speech, write_audio
from espnet2_taste.data.audio_arks import file_of
from espnet2_taste.data.checks import find_audio
from espnet2_taste.data.ctm import write_rows
from espnet2_taste.data.finished import digest, finish_folder, is_finished, start_folder
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.evaluation.listening.design import (
    CONTEXT,
    REFERENCE,
    Clip,
    ListeningTest,
    Namer,
    Trial,
    choose_utterances,
)
from espnet2_taste.metrics.tables import write_json

RECORD = "made.json"
KEY_HEADER = ("trial", "stimulus", "system", "utt")
WORDS = {"context": "Before", "reference": "Reference"}


@dataclass(frozen=True)
class PageOptions:
    """Choices of a study.

    Attributes:
        title: Shown to listeners.
        utterances: How many each system speaks; 0 for all.
        trials_per_listener: Most trials of one listener; 0 for all.
        seed: Of the draw of utterances and of the order.
        sample_rate: Of the recordings listeners get.
        level: Their level in dB of full scale (RMS); None leaves it.
        anchors: Cut-off frequencies in Hz: each adds a system ``anchor_<Hz>``, the
            low-passed reference (BS.1534 has 3500 and 7000).
    """

    title: str = "Listening test"
    utterances: int = 20
    trials_per_listener: int = 0
    seed: int = 0
    sample_rate: int = 16000
    level: float | None = -26.0
    anchors: tuple[int, ...] = ()


def read_system(folder: Path) -> dict[str, Path]:
    """Recordings of a system.

    Args:
        folder: Has ``wav.scp``.

    Returns:
        Audio files by utterance.

    Raises:
        ValueError: The table or a recording is missing.
    """
    found = {}
    for name, value in read_table(folder / "wav.scp").items():
        path = find_audio(value, folder)
        if path is None:
            raise ValueError(
                f"{folder / 'wav.scp'}: '{name}' has no audio at {value}; start the "
                "command in the recipe's folder, or make the recording again"
            )
        found[name] = path
    return found


def set_level(speech: np.ndarray, level: float | None) -> np.ndarray:
    """Bring speech to a level, but not beyond full scale.

    Args:
        speech: (S,).
        level: RMS in dB of full scale, None to leave it.

    Returns:
        (S,).
    """
    power = float(np.mean(np.square(speech, dtype=np.float64))) if len(speech) else 0.0
    if level is None or power == 0.0:
        return speech
    gain = 10 ** (level / 20) / np.sqrt(power)
    return speech * min(gain, 1.0 / float(np.abs(speech).max()))


def low_pass(speech: np.ndarray, rate: int, cutoff: int) -> np.ndarray:
    """Take away what is above a frequency, without delay.

    Args:
        speech: (S,).
        rate: Samples a second.
        cutoff: Hz.

    Returns:
        (S,).

    Raises:
        ValueError: The rate leaves nothing above that frequency.
    """
    from scipy.signal import ellip, sosfiltfilt

    if not 0 < 2 * cutoff < rate:
        raise ValueError(
            f"--anchors {cutoff}: expected less than half of --fs {rate}, {rate // 2}"
        )
    filter_ = ellip(8, 0.1, 50, cutoff, fs=rate, output="sos")
    return sosfiltfilt(filter_, speech, padlen=min(100, len(speech) - 1))


def study_json(
    test: ListeningTest, trials: list[Trial], study_id: str, options
) -> dict:
    """What the page gets: no system, no utterance.

    Args:
        test: Kind of test.
        trials: Of the test, in an order that tells nothing.
        study_id: Name by which ratings find their study.
        options: ``PageOptions``.

    Returns:
        Plain values.
    """

    def source(clip: Clip | None) -> str | None:
        return None if clip is None else f"audio/{clip.id}.wav"

    return {
        "id": study_id,
        "instructions": list(test.instructions),
        "words": WORDS,
        "seed": options.seed,
        "trials_per_listener": options.trials_per_listener,
        "scale": test.scale,
        "trials": [
            {
                "id": trial.id,
                "context": source(trial.context),
                "reference": source(trial.reference),
                "stimuli": [
                    {"id": clip.id, "src": source(clip)}
                    for clip in sorted(trial.clips, key=lambda clip: clip.id)
                ],
            }
            for trial in sorted(trials, key=lambda trial: trial.id)
        ],
    }


def render_page(study: Mapping, title: str) -> str:
    """Put a study into the page.

    Args:
        study: See :func:`study_json`.
        title: Of the page.

    Returns:
        HTML in one piece.
    """
    folder = resources.files("espnet2_taste.evaluation.listening")
    read = {
        name: (folder / name).read_text(encoding="utf-8")
        for name in ("page.html", "page.css", "logic.js", "page.js")
    }
    # "</" inside a script would end it
    data = json.dumps(study, ensure_ascii=False).replace("</", "<\\/")
    places = {
        "@TITLE@": html.escape(title),
        "@STYLE@": read["page.css"].strip(),
        "@LOGIC@": read["logic.js"].strip(),
        "@SCRIPT@": read["page.js"].strip(),
        "@STUDY@": data,
    }
    pattern = re.compile("|".join(places))
    return pattern.sub(lambda place: places[place[0]], read["page.html"])


def _clips(trials: list[Trial]) -> list[Clip]:
    """Every recording of a study once."""
    found = {}
    for trial in trials:
        for clip in (*trial.clips, trial.reference, trial.context):
            if clip is not None:
                found[clip.id] = clip
    return list(found.values())


def check_systems(test: ListeningTest, systems: Mapping[str, Path], anchors) -> None:
    """Refuse a study that lacks what its kind needs.

    Raises:
        ValueError: There is no reference, or nothing to rate.
    """
    if (test.side_by_side or anchors) and REFERENCE not in systems:
        raise ValueError(
            "a MUSHRA test and anchors need natural recordings: give --reference "
            "FOLDER with a wav.scp of the same utterances"
        )
    if not set(systems) - {REFERENCE, CONTEXT}:
        raise ValueError("no system to rate: give --systems name=folder name=folder")


def _made_from(
    test: ListeningTest, systems: Mapping, files: list[Path], options
) -> dict:
    """What a study depends on, in plain values."""
    return {
        "test": test.name,
        "instructions": list(test.instructions),
        "options": vars(options) | {"anchors": list(options.anchors)},
        "systems": {name: str(folder) for name, folder in systems.items()},
        "audio": digest(dict.fromkeys(map(file_of, files)), contents=True),
    }


def write_study(
    target: Path, test: ListeningTest, systems: Mapping[str, Path], options: PageOptions
) -> bool:
    """Make the folder of a study, unless it is there.

    Args:
        target: The folder.
        test: Kind of test.
        systems: Folders with ``wav.scp`` by system; ``reference`` and ``context`` are
            names of their own.
        options: Choices.

    Returns:
        Whether anything was written.

    Raises:
        ValueError: Recordings are missing or unreadable, or too few.
    """
    check_systems(test, systems, options.anchors)
    audio = {name: read_system(folder) for name, folder in systems.items()}
    for cutoff in options.anchors:
        audio[f"anchor_{cutoff}"] = audio[REFERENCE]
    chosen, lacking = choose_utterances(
        {name: set(files) for name, files in audio.items()},
        options.utterances,
        options.seed,
    )
    files = [audio[name][utterance] for name in audio for utterance in chosen]
    record = _made_from(test, systems, files, options)
    if is_finished(target, RECORD, record):
        return False
    folder = start_folder(target, RECORD, record)
    namer = Namer(json.dumps(record, sort_keys=True), CONTEXT in systems)
    rated = [name for name in audio if name != CONTEXT]
    trials = test.trials(chosen, rated, namer)
    _write_audio(folder / "page" / "audio", _clips(trials), audio, options)
    write_rows(folder / "left_out.tsv", ("utt", "reason"), lacking.items())
    study = study_json(test, trials, namer.id("study"), options)
    _write_texts(folder, test, trials, study, record)
    finish_folder(folder, target)
    return True


def _write_texts(
    folder: Path, test: ListeningTest, trials: list[Trial], study: dict, record: dict
) -> None:
    """Write the page, the key, and what the analysis has to know."""
    page = render_page(study, record["options"]["title"])
    (folder / "page" / "index.html").write_text(page, encoding="utf-8")
    rows = [(t.id, c.id, c.system, c.utterance) for t in trials for c in t.clips]
    write_rows(folder / "key.tsv", KEY_HEADER, rows)
    facts = {"id": study["id"], "scale": study["scale"], **record}
    write_json(folder / "study.json", facts | {"reference_below": test.reference_below})


def _write_audio(folder: Path, clips, audio: Mapping, options: PageOptions) -> None:
    """Write every recording under its opaque name."""
    folder.mkdir(parents=True, exist_ok=True)
    cutoffs = {f"anchor_{cutoff}": cutoff for cutoff in options.anchors}
    for clip in clips:
        path = audio[clip.system][clip.utterance]
        try:
            speech = load_speech(path, options.sample_rate, keep_silence=True)
        except ValueError as error:
            raise ValueError(
                f"system '{clip.system}', utterance '{clip.utterance}' ({path}): "
                f"{error}; make the recording again, or leave the system out"
            ) from error
        if clip.system in cutoffs:
            speech = low_pass(speech, options.sample_rate, cutoffs[clip.system])
        speech = set_level(speech, options.level)
        write_audio(folder / f"{clip.id}.wav", speech, options.sample_rate)
