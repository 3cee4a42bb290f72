"""Copies of a set at other speeds, as further readers.

Enters: a formatted set. Leaves: ``<set>_sp`` beside it, with the names of ESPnet's
speed perturbation: utterance ``a`` of speaker ``s`` at factor 0.9 is ``sp0.9-a`` of
``sp0.9-s``. Tempo and pitch change together, as with ``speed`` of sox. At factor 1
stand the utterances as they are, whose recordings are not copied.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from espnet2_taste.data.audio import load_speech, resample
from espnet2_taste.data.finished import (
    digest,
    finish_folder,
    is_finished,
    start_folder,
)
from espnet2_taste.data.formatting import JOINED_TABLES, AudioForm, write_dropped
from espnet2_taste.data.kaldi_dir import (
    KaldiDir,
    read_kaldi_dir,
    read_table,
    speakers_to_utterances,
    write_kaldi_dir,
    write_table,
)
from espnet2_taste.data.parts import join_parts
from espnet2_taste.data.recording_writer import RecordingWriter

RECORD = "speed.json"


def perturbed(folder: Path) -> Path:
    """Where the copies of a set go.

    Example:
        >>> perturbed(Path("dump/raw/train")).name
        'train_sp'
    """
    return folder.with_name(f"{folder.name}_sp")


def read_factors(value: str) -> list[str]:
    """Factors as they are written, which names use; each once.

    Raises:
        ValueError: There is none, or one is no number above 0.
    """
    factors = list(dict.fromkeys(value.split()))
    try:
        good = factors and all(0 < float(factor) < float("inf") for factor in factors)
    except ValueError:
        good = False
    if not good:
        raise ValueError(
            f"--speed_perturb_factors is '{value}', expected numbers above 0 such as "
            "'0.9 1.0 1.1'"
        )
    return factors


def change_speed(speech: np.ndarray, factor: float, sample_rate: int) -> np.ndarray:
    """Play speech faster (factor above 1) or slower, with its pitch.

    Args:
        speech: Samples (S,).
        factor: Of tempo and frequencies.
        sample_rate: Samples a second.

    Returns:
        Samples (ceil(S / factor),) float32 at the same rate.
    """
    return resample(speech, round(sample_rate * factor), sample_rate)


def perturb_set(
    source: Path, target: Path, factors: Sequence[str], form: AudioForm
) -> bool:
    """Write the utterances of ``source`` at all factors, unless that is done.

    Args:
        source: A formatted set.
        target: The folder to make.
        factors: From :func:`read_factors`.
        form: Rate, format and durations; a copy of another duration is left out.

    Returns:
        Whether there was something to do.

    Raises:
        ValueError: The set is malformed, or an utterance cannot be read.
    """
    tables = read_kaldi_dir(source)
    files = [source / name for name in ("wav.scp", "text", "utt2spk")]
    record = form.record | {
        "factors": list(factors),
        "tables": digest(files, contents=True),
        "audio": digest(tables.wav.values(), contents=False),
    }
    if is_finished(target, RECORD, record):
        return False
    folder = start_folder(target, RECORD, record)
    shown = (form.sample_rate, form.audio_format, target)
    with RecordingWriter(folder, *shown) as writer:
        made, samples, dropped = _perturb(tables, factors, form, writer)
    write_kaldi_dir(folder, made)
    write_table(folder / "utt2num_samples", samples)
    write_dropped(folder / "dropped.tsv", dropped)
    finish_folder(folder, target)
    return True


def _perturb(
    tables: KaldiDir, factors: Sequence[str], form: AudioForm, writer: RecordingWriter
) -> tuple[KaldiDir, dict[str, str], dict[str, str]]:
    """Write the copies; gives tables, numbers of samples and what was left out."""
    made, samples, dropped = KaldiDir({}, {}), {}, {}
    for name, entry in tqdm(tables.wav.items(), desc="speed", disable=None):
        try:
            own = load_speech(entry, form.sample_rate, keep_silence=True)
        except ValueError as error:
            raise ValueError(f"utterance {name}: {error}; run stage 2 again") from error
        for factor in factors:
            prefix = "" if float(factor) == 1 else f"sp{factor}-"
            copy = prefix + name
            speech = change_speed(own, float(factor), form.sample_rate)
            seconds = len(speech) / form.sample_rate
            if prefix and not form.min_duration <= seconds <= form.max_duration:
                dropped[copy] = (
                    f"the audio lasts {seconds:.2f} s at this speed, expected "
                    f"{form.min_duration:g} to {form.max_duration:g} s"
                )
                continue
            made.wav[copy] = writer(copy, speech) if prefix else entry
            made.text[copy] = tables.text[name]
            made.utt2spk[copy] = prefix + tables.utt2spk[name]
            samples[copy] = str(len(speech))
    return made, samples, dropped


def join_perturbed(parts: Sequence[Path], target: Path) -> str:
    """Make one set of the parts that :func:`perturb_set` made.

    Args:
        parts: Their folders. Audio stays in them.
        target: The folder to make.

    Returns:
        What was done.

    Raises:
        ValueError: A part is not complete.
    """
    done = join_parts(parts, target, JOINED_TABLES)
    tables = {name: read_table(target / name) for name in JOINED_TABLES[:-1]}
    for name, rows in tables.items():  # those of a part are sorted, all are not
        write_table(target / name, rows)
    write_table(target / "spk2utt", speakers_to_utterances(tables["utt2spk"]))
    return done
