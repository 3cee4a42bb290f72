"""A set of recordings in any form becomes a set at one rate in one form.

Enters: a Kaldi-style folder. Leaves: another one with ``audio/<utterance>.wav``, or
``.flac`` (mono, PCM of 16 bit), or all of them in ``audio.ark``, the tables of the
utterances that can be used, ``utt2num_samples``, the word times and study tables of the
source, and ``dropped.tsv`` with a reason for everything left out.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from espnet2_taste.data.audio import conform, read_header
from espnet2_taste.data.checks import find_utterances
from espnet2_taste.data.ctm import read_rows
from espnet2_taste.data.files import read_lines, read_text, split_lines
from espnet2_taste.data.finished import (
    digest,
    finish_folder,
    is_finished,
    set_record,
    start_folder,
)
from espnet2_taste.data.kaldi_dir import (
    KaldiDir,
    read_table,
    sort_keys,
    speakers_to_utterances,
    write_kaldi_dir,
    write_lines,
    write_table,
)
from espnet2_taste.data.parts import join_parts
from espnet2_taste.data.recording_writer import FORMATS, RecordingWriter
from espnet2_taste.data.recordings import (
    Segments,
    cut,
    find_recording,
    is_command,
    read_recording,
    read_set,
)

logger = logging.getLogger(__name__)

RECORD = "format.json"
HEADED_TABLES = ("word_prosody", "pairs.tsv", "prompt_words")
SOURCE_TABLES = ("wav.scp", "segments", "text", "utt2spk", "ctm", *HEADED_TABLES)
JOINED_TABLES = ("wav.scp", "text", "utt2spk", "utt2num_samples", "dropped.tsv")


@dataclass(frozen=True)
class AudioForm:
    """What every recording of a set has to be.

    Attributes:
        sample_rate: Samples a second.
        min_duration: Shortest recording that is kept, seconds.
        max_duration: Longest recording that is kept, seconds.
        audio_format: One of ``FORMATS``; flac is lossless, .6 of the bytes of speech;
            with ``.ark`` the recordings of a set (or of a part) are one file.
    """

    sample_rate: int = 16000
    min_duration: float = 0.3
    max_duration: float = 30.0
    audio_format: str = "wav"

    def __post_init__(self):
        if self.audio_format not in FORMATS:
            raise ValueError(
                f"--audio_format is '{self.audio_format}', expected one of {FORMATS}"
            )
        if self.sample_rate < 1 or not 0 <= self.min_duration < self.max_duration:
            raise ValueError(
                f"expected a positive --fs and 0 <= --min_duration < --max_duration, "
                f"found {self.sample_rate}, {self.min_duration}, {self.max_duration}"
            )

    @property
    def record(self) -> dict:
        """What a finished set is known by."""
        return set_record(asdict(self))


@dataclass(frozen=True)
class FormatResult:
    """Numbers of utterances of a set; ``made`` is False where all was there."""

    kept: int
    dropped: int
    made: bool


def format_set(
    source: Path, target: Path, form: AudioForm, part: bool = False
) -> FormatResult:
    """Write ``source`` in the given form to ``target``, unless that is done.

    Args:
        source: A Kaldi-style folder.
        target: The folder to make. Its ``wav.scp`` holds paths below this very name.
        form: Rate and durations wanted.
        part: ``source`` is part of a set; maybe no utterance of it can be used.

    Returns:
        How many utterances were kept and dropped.

    Raises:
        ValueError: The set is malformed, or no utterance of it can be used.
    """
    tables, segments = read_set(source)
    tables, dropped = find_utterances(tables, source, find_recording)
    dropped |= segments.dropped
    record = form.record | {
        "tables": digest([source / name for name in SOURCE_TABLES], contents=True),
        "audio": digest(tables.wav.values(), contents=False),
    }
    if is_finished(target, RECORD, record):
        return _count(target)
    _announce_commands(source, tables)
    folder = start_folder(target, RECORD, record)
    shown = (form.sample_rate, form.audio_format, target)
    with RecordingWriter(folder, *shown) as writer:
        samples, wavs = _format_audio(tables, segments, writer, form, dropped)
    if not part:
        _check_any_left(source, samples, dropped)
    write_kaldi_dir(folder, replace(tables.only(samples), wav=wavs))
    write_table(folder / "utt2num_samples", {n: str(s) for n, s in samples.items()})
    write_dropped(folder / "dropped.tsv", dropped)
    copy_study_tables(source, folder, set(dropped))
    finish_folder(folder, target)
    return FormatResult(len(samples), len(dropped), True)


def _announce_commands(source: Path, tables: KaldiDir) -> None:
    """Say that commands of ``wav.scp`` are run, and show one."""
    commands = [entry for entry in tables.wav.values() if is_command(entry)]
    if commands:
        logger.info(
            "%s: %d entries are commands, which are run now, e.g. %s",
            *(source / "wav.scp", len(commands), commands[0]),
        )


def _format_audio(
    tables: KaldiDir,
    segments: Segments,
    writer: RecordingWriter,
    form: AudioForm,
    dropped: dict,
) -> tuple[dict[str, int], dict[str, str]]:
    """Write the audio of each utterance, and add to ``dropped``.

    Returns:
        Number of samples and entry of ``wav.scp`` by utterance.
    """
    samples, wavs = {}, {}
    title = writer.folder.parent.name
    for name, entry in tqdm(tables.wav.items(), desc=title, disable=None):
        if file := writer.kept(name):
            samples[name], wavs[name] = read_header(file).frames, writer.entry(name)
            continue
        try:
            speech = format_utterance(entry, form, segments.times.get(name))
        except ValueError as error:
            dropped[name] = str(error)
            continue
        samples[name], wavs[name] = len(speech), writer(name, speech)
    return samples, wavs


def format_utterance(
    entry: str, form: AudioForm, times: tuple[float, float] | None = None
) -> np.ndarray:
    """Read one utterance in the form wanted.

    Args:
        entry: Its recording, as ``find_recording`` gives it.
        form: Rate and durations.
        times: Its begin and end in the recording, seconds; None: all of it.

    Returns:
        Samples (S,) float32.

    Raises:
        ValueError: The recording cannot be used; the message says why.
    """
    speech, rate = read_recording(entry)
    if times:
        speech = cut(speech, rate, *times)
    return conform(speech, rate, form.sample_rate, form.min_duration, form.max_duration)


def copy_study_tables(source: Path, target: Path, dropped: set[str]) -> None:
    """Copy word times and study tables without the lines of dropped utterances.

    A line that names a dropped utterance in any column goes, so that no pair is left
    with one member.
    """
    for name in ("ctm", *HEADED_TABLES):
        file = source / name
        if not file.is_file():
            continue
        lines = split_lines(read_text(file))
        separator = "\t" if name in HEADED_TABLES else None
        kept = [ln for ln in lines if not dropped.intersection(ln.split(separator))]
        write_lines(target / name, kept)


def write_dropped(path: Path, dropped: dict[str, str]) -> None:
    """Write ``utt`` and ``reason`` of everything left out, header included."""
    rows = [f"{name}\t{' '.join(dropped[name].split())}" for name in sort_keys(dropped)]
    write_lines(path, ["utt\treason", *rows])


def join_formatted(source: Path, target: Path, parts: Sequence[Path]) -> FormatResult:
    """Make one set of the parts that :func:`format_set` made.

    Args:
        source: The set that the parts come from; its study tables are copied.
        target: The folder to make.
        parts: Folders of the formatted parts, in order. Audio stays in them.

    Returns:
        How many utterances were kept and dropped.

    Raises:
        ValueError: A part is not complete, or no utterance can be used.
    """
    join_parts(parts, target, JOINED_TABLES)
    speakers = read_table(target / "utt2spk")
    write_table(target / "spk2utt", speakers_to_utterances(speakers))
    rows = read_rows(target / "dropped.tsv", {"utt": str, "reason": str})
    dropped = {row["utt"]: row["reason"] for row in rows}
    _check_any_left(source, speakers, dropped)
    copy_study_tables(source, target, set(dropped))
    return replace(_count(target), made=True)


def _check_any_left(source: Path, samples: dict, dropped: dict[str, str]) -> None:
    """Refuse a set of which nothing is left."""
    if samples:
        return
    first = next(iter(sort_keys(dropped)), None)
    example = f"'{first}': {dropped[first]}" if first else "wav.scp and text are empty"
    raise ValueError(
        f"{source}: none of its {len(dropped)} utterances can be used; for example "
        f"{example}"
    )


def _count(target: Path) -> FormatResult:
    """Numbers of a set that is there."""
    kept = len(read_lines(target / "utt2num_samples"))
    dropped = len(read_lines(target / "dropped.tsv")) - 1
    return FormatResult(kept, dropped, False)
