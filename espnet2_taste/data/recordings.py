"""The forms that entries of ``wav.scp`` have in Kaldi and ESPnet, for stage 2 alone.

Enters: an entry: an audio file, a command that writes one (``flac -c -d -s a.flac |``),
a place in an ark file (``a.ark:123``), each perhaps cut by ``segments``. Leaves: mono
samples and their rate. Commands run only here, when the recipe formats the data its
user gave; no command-line tool and no model archive reads its tables through this
module.
"""

import shlex
import subprocess
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np

from espnet2_taste.data.audio import as_mono, read_audio, read_audio_stream
from espnet2_taste.data.checks import find_audio
from espnet2_taste.data.kaldi_dir import KaldiDir, read_kaldi_dir, read_table


@dataclass(frozen=True)
class Segments:
    """Where utterances lie in longer recordings.

    Attributes:
        times: Begin and end of each utterance, seconds; a negative end is that of the
            recording.
        dropped: Reason for each utterance whose line cannot be used.
    """

    times: dict[str, tuple[float, float]] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)


def read_set(folder: Path) -> tuple[KaldiDir, Segments]:
    """Read a set; ``segments``, where there is one, makes recordings utterances.

    Args:
        folder: The set's folder.

    Returns:
        Tables by utterance, ``wav`` with the entry of its recording, and its times.

    Raises:
        ValueError: A table is missing or malformed.
    """
    tables = read_kaldi_dir(folder)
    if not (folder / "segments").is_file():
        return tables, Segments()
    segments, wav = Segments(), {}
    speakers = {}
    if (folder / "utt2spk").is_file():
        speakers = read_table(folder / "utt2spk")
    for utterance, line in read_table(folder / "segments").items():
        try:
            recording, begin, end = line.split()
            segments.times[utterance] = float(begin), float(end)
            wav[utterance] = tables.wav[recording]
        except ValueError:
            segments.dropped[utterance] = (
                f"segments: expected 'recording begin end', found '{line}'"
            )
        except KeyError:
            segments.dropped[utterance] = f"segments: wav.scp has no '{recording}'"
    utt2spk = {name: speakers.get(name) or name for name in wav}
    return KaldiDir(wav, tables.text, utt2spk), segments


def find_recording(entry: str, set_dir: Path) -> str | None:
    """Make an entry one that holds from the current folder.

    Args:
        entry: As in ``wav.scp``. Relative paths begin at the current folder, at the
            set's or at any above it; in commands too, which then begin with ``cd``.
        set_dir: The set's folder.

    Returns:
        The entry; None where there is no such file.
    """
    entry = entry.strip()
    if entry.endswith("|"):
        folder = _command_folder(entry[:-1], set_dir)
        return f"cd {shlex.quote(str(folder))} && {entry}" if folder else entry
    audio = find_audio(entry, set_dir)
    return str(audio) if audio else None


def _command_folder(command: str, set_dir: Path) -> Path | None:
    """Folder where the relative paths of a command begin; None: the current one."""
    try:
        words = shlex.split(command)
    except ValueError:  # the shell will say what is wrong
        return None
    found = [find_audio(word, set_dir) for word in words if not word.startswith("/")]
    for word, file in zip((w for w in words if not w.startswith("/")), found):
        if file and not Path(word).is_file():
            return file.absolute().parents[len(Path(word).parts) - 1]
    return None


def is_command(entry: str) -> bool:
    """Whether an entry is a command that writes audio."""
    return entry.endswith("|")


@lru_cache(maxsize=1)
def read_recording(entry: str) -> tuple[np.ndarray, int]:
    """Read what :func:`find_recording` found.

    The last recording is kept, as utterances cut from it follow each other.

    Args:
        entry: A file, ``file.ark:offset``, or a command with ``|`` behind it.

    Returns:
        Samples (S,) float32 and their rate.

    Raises:
        ValueError: The command fails, or there is no audio.
    """
    if is_command(entry):
        return _run_command(entry[:-1])
    if Path(entry).is_file():
        return read_audio(entry)
    return _read_ark(entry)


def _run_command(command: str) -> tuple[np.ndarray, int]:
    """Audio that a shell command writes to its standard output."""
    done = subprocess.run(
        command, shell=True, stdin=subprocess.DEVNULL, capture_output=True
    )
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().split("\n")[-1]
        raise ValueError(f"the command '{command.strip()}' failed: {said}")
    return read_audio_stream(BytesIO(done.stdout))


def _read_ark(entry: str) -> tuple[np.ndarray, int]:
    """Audio at a place of an ark file; this reader loads no pickles."""
    from omniio import kaldi

    try:
        found = kaldi.load_mat(entry)
    except Exception as error:  # whatever damaged bytes make the decoders raise
        raise ValueError(f"{entry} cannot be read ({error})") from error
    if not isinstance(found, tuple):
        raise ValueError(f"{entry} holds an array, expected audio")
    rate, samples = found
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / -float(np.iinfo(samples.dtype).min)
    return as_mono(samples), rate


def cut(speech: np.ndarray, rate: int, begin: float, end: float) -> np.ndarray:
    """Cut an utterance out of a recording.

    Args:
        speech: Samples (S,).
        rate: Samples a second.
        begin: Seconds.
        end: Seconds; negative: the end of the recording.

    Returns:
        Samples of the utterance.

    Raises:
        ValueError: The times are no part of the recording.
    """
    seconds = len(speech) / rate
    stop = seconds if end < 0 else min(end, seconds)
    if not 0 <= begin < stop:
        raise ValueError(
            f"segments: {begin:g} to {end:g} s is no part of a recording of "
            f"{seconds:.2f} s"
        )
    return speech[round(begin * rate) : round(stop * rate)]
