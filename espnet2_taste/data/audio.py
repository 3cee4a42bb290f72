"""Audio files in and out.

Enters: any file libsndfile reads (wav, flac, ogg, mp3, NIST sphere ...). Leaves: mono
float32 samples (S,) at the rate asked for, or a ``ValueError`` that says what is wrong
with the recording.
"""

import os
import re
import struct
from math import gcd
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from espnet2_taste.data.audio_arks import file_of, open_recording
from espnet2_taste.data.files import whole_file

LOWEST_RATE = 8000
HIGHEST_RATE = 384_000  # a filter between odd rates takes 20 values a Hz
SILENCE_PEAK = 1e-4
LOUDEST = 8.0  # floats may leave [-1, 1] a little; what is louder was never scaled
BLOCK = 2**20  # samples that are read at once
CUT_OFF = 1.05  # more samples promised than found; lengths of mp3 are estimates
PIPED = 0x7F000000  # bytes; a wav that was written to a pipe promises this much or more
_DATA_SIZE = re.compile(r"^data\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)


def resample(speech: np.ndarray, source_rate: int, target_rate: int) -> np.ndarray:
    """Change the sample rate with a linear-phase polyphase filter.

    Args:
        speech: Samples (S,).
        source_rate: Samples a second of ``speech``.
        target_rate: Samples a second wanted.

    Returns:
        Samples (ceil(S * target_rate / source_rate),) float32.
    """
    if source_rate == target_rate or len(speech) == 0:
        return np.asarray(speech, dtype=np.float32)
    from scipy.signal import resample_poly  # takes a second to import

    divisor = gcd(source_rate, target_rate)
    up, down = target_rate // divisor, source_rate // divisor
    return resample_poly(speech, up, down).astype(np.float32)


def read_audio(path: str | os.PathLike) -> tuple[np.ndarray, int]:
    """Read a recording and mix its channels down.

    Args:
        path: An audio file, or a place in an ark (``audio.ark:123``).

    Returns:
        Samples (S,) float32 and their rate.

    Raises:
        ValueError: The file is missing, unreadable or empty, or holds values that are
            no numbers.
    """
    return read_audio_stream(open_recording(path))


def read_header(path: str | os.PathLike):
    """What the header of a recording says: ``frames``, ``samplerate``, ``duration``.

    Raises:
        ValueError: The file is missing or unreadable.
    """
    source = open_recording(path)
    try:
        return soundfile.info(source)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(f"the audio cannot be read ({error})") from error


def read_audio_stream(
    source: str | BinaryIO, max_duration: float = float("inf")
) -> tuple[np.ndarray, int]:
    """Read audio of any format from a file or an open stream.

    Args:
        source: Path of a file that exists, or a stream.
        max_duration: Longest audio that is read, seconds.

    Returns:
        Samples (S,) float32 and their rate.

    Raises:
        ValueError: The audio is unreadable, empty or too long, or holds values that
            are no numbers.
    """
    try:
        with soundfile.SoundFile(source) as file:
            if file.frames > max_duration * file.samplerate:
                raise ValueError(
                    f"the audio lasts {file.frames / file.samplerate:.2f} s, expected "
                    f"at most {max_duration:g} s"
                )
            speech, rate = _read_blocks(file), file.samplerate
            promised = _promised_frames(file)
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise ValueError(f"the audio cannot be read ({error})") from error
    if len(speech) and promised > CUT_OFF * len(speech):
        raise ValueError(
            f"the audio is cut off: its header promises {promised / rate:.2f} s, the "
            f"file holds {len(speech) / rate:.2f} s; copy it again"
        )
    return as_mono(speech), rate


def _read_blocks(file: soundfile.SoundFile) -> np.ndarray:
    """All samples (S, channels); memory follows what is there, not what is promised."""
    size = max(1, BLOCK // file.channels)
    blocks = [file.read(size, dtype="float32", always_2d=True)]
    while len(blocks[-1]) == size:
        blocks.append(file.read(size, dtype="float32", always_2d=True))
    return np.concatenate(blocks) if len(blocks) > 1 else blocks[0]


def _promised_frames(file: soundfile.SoundFile) -> int:
    """Samples a channel that the header speaks of; written to a pipe, it knows none."""
    sizes = _DATA_SIZE.search(file.extra_info)
    if sizes is None:
        return file.frames
    promised, found = map(int, sizes.groups())
    return file.frames * promised // max(1, found) if promised < PIPED else 0


def as_mono(speech: np.ndarray) -> np.ndarray:
    """Check samples and mix those channels down that hold a sound.

    Args:
        speech: Samples (S,) or (S, channels).

    Returns:
        Samples (S,) float32.

    Raises:
        ValueError: There are none, or values that are no numbers or were never scaled.
    """
    if len(speech) == 0:
        raise ValueError("the audio is empty (0 samples)")
    if not np.isfinite(speech).all():
        raise ValueError("the audio holds NaN or infinite samples")
    channels = speech.reshape(len(speech), -1)
    peaks = np.abs(channels).max(axis=0)
    if peaks.max() > LOUDEST:
        raise ValueError(
            f"the samples reach {peaks.max():g}, expected values in [-1, 1]; divide "
            "them, 16 bit integers by 32768"
        )
    audible = channels[:, peaks >= SILENCE_PEAK]
    chosen = audible if audible.size else channels
    return chosen.mean(axis=1).astype(np.float32)


def load_speech(
    path: str | os.PathLike,
    sample_rate: int,
    min_duration: float = 0.0,
    max_duration: float = float("inf"),
    keep_silence: bool = False,
) -> np.ndarray:
    """Read a recording at a given rate and check that it can be used.

    Args:
        path: An audio file, or a place in an ark.
        sample_rate: Samples a second wanted.
        min_duration: Shortest duration that is accepted, seconds.
        max_duration: Longest duration that is accepted, seconds.
        keep_silence: Accept recordings without any sound.

    Returns:
        Samples (S,) float32.

    Raises:
        ValueError: The recording is unreadable, cut off, too short, too long, silent,
            or its rate is so low that the speech has lost its upper half.
    """
    speech, rate = read_audio(path)
    return conform(speech, rate, sample_rate, min_duration, max_duration, keep_silence)


def conform(
    speech: np.ndarray,
    rate: int,
    sample_rate: int,
    min_duration: float = 0.0,
    max_duration: float = float("inf"),
    keep_silence: bool = False,
) -> np.ndarray:
    """Do for samples (S,) of a given rate what :func:`load_speech` does for a file."""
    seconds = len(speech) / rate
    if not min(LOWEST_RATE, sample_rate) <= rate <= HIGHEST_RATE:
        raise ValueError(
            f"the sample rate is {rate} Hz, expected {LOWEST_RATE} to {HIGHEST_RATE} Hz"
        )
    if not min_duration <= seconds <= max_duration:
        raise ValueError(
            f"the audio lasts {seconds:.2f} s, expected {min_duration:g} to "
            f"{max_duration:g} s"
        )
    if not keep_silence and np.abs(speech).max() < SILENCE_PEAK:
        raise ValueError("the audio is silent")
    return resample(speech, rate, sample_rate)


def write_audio(path: str | os.PathLike, speech: np.ndarray, sample_rate: int) -> None:
    """Write mono PCM of 16 bit; the suffix (wav or flac) names the format.

    Args:
        path: The file to write; a temporary file beside it is renamed at the end.
        speech: Samples (S,); values beyond [-1, 1) are clipped.
        sample_rate: Samples a second.

    Raises:
        ValueError: A sample is no number.
    """
    path = Path(path)
    check_finite(path.name, speech)
    with whole_file(path) as part:
        soundfile.write(str(part), pcm16(speech), sample_rate, subtype="PCM_16")


def check_finite(name: str, speech: np.ndarray) -> None:
    """Refuse speech (S,) with samples that are no numbers.

    Raises:
        ValueError: With the name of the recording.
    """
    if not np.isfinite(speech).all():
        raise ValueError(f"{name}: the speech made holds NaN or infinite samples")


def as_file(path: str | os.PathLike, copy: Path) -> Path:
    """A file that other programs can read.

    Args:
        path: An audio file, or a place in an ark.
        copy: Where the audio of an ark is written.

    Returns:
        The file itself or the copy.
    """
    if file_of(path) == os.fspath(path):
        return Path(path)
    copy.parent.mkdir(parents=True, exist_ok=True)
    write_audio(copy, *read_audio(path))
    return copy


def pcm16(speech: np.ndarray) -> np.ndarray:
    """Samples (S,) in [-1, 1) as little-endian int16; values beyond are clipped."""
    scaled = np.clip(np.rint(np.asarray(speech) * 32768), -32768, 32767)
    return scaled.astype("<i2")


def wav_header(sample_rate: int) -> bytes:
    """What stands before mono PCM of 16 bit whose length is not known yet.

    Args:
        sample_rate: Samples a second.

    Returns:
        44 bytes; the sizes are the largest ones, as of other programs that write to
        pipes.
    """
    sizes = struct.pack("<IHHIIHH", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    unknown = b"\xff\xff\xff\xff"
    return b"RIFF" + unknown + b"WAVEfmt " + sizes + b"data" + unknown
