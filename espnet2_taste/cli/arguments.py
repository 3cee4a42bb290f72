"""Options that sub-commands share, and what of them is recorded.

Enters: a parser; later the parsed options. Leaves: checked values, the record of what
results depend on. Values out of range are refused before anything is loaded.
"""

import argparse
import hashlib
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from typing import Any

from espnet2_taste.bin.command import LEVELS
from espnet2_taste.data.finished import digest
from espnet2_taste.inference.sampling_options import UnitSampling
from espnet2_taste.option_fields import field_help

RECORDINGS = ("wav", "wav_scp", "text", "text_file", "codes")
WORK = ("output", "cache_dir", "batch_size", "nj", "ngpu", "part_size", "log_level")
_MODEL = "default: the setting of the model"


def number(kind: type, low: float, high: float = inf) -> Callable[[str], Any]:
    """Type of an option that is a number in a range.

    Args:
        kind: ``int`` or ``float``.
        low: Smallest value.
        high: Largest value.

    Returns:
        Function from the text of the option to its value.
    """
    name = "a whole number" if kind is int else "a number"
    extent = f"{name} from {low:g}" + ("" if high == inf else f" to {high:g}")

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high or value == inf:
            raise argparse.ArgumentTypeError(f"expected {extent}, found '{text}'")
        return value

    return parse


COUNT = number(int, 1)
SAMPLING = {
    "seed": number(int, 0),
    "top_k": COUNT,
    "temperature": number(float, 0),
    "min_unit_ratio": number(float, 0),
    "max_unit_ratio": number(float, 0.1),
    "read_ahead": number(int, 0),
    "tempo": number(float, 0.1, 10),
    "duration_temperature": number(float, 0),
    "unit_mixing": number(float, 0),
    "unit_dtype": str,
}
"""Type of options that are fields of ``UnitSampling`` of the same names."""


OPTIONS: dict[str, dict[str, Any]] = {
    "model": {"required": True, "help": "Archive, unpacked folder or name on a hub"},
    "cache_dir": {"help": "Folder for unpacked archives (default: ESPnet's cache)"},
    "ngpu": {
        "type": number(int, 0),
        "default": 0,
        "help": "GPUs that are used; 0 is the CPU",
    },
    "log_level": {
        "choices": LEVELS,
        "default": "WARNING",
        "help": "Least important messages that are shown",
    },
    "output": {"required": True, "help": "Folder of the results; made when absent"},
    "batch_size": {
        "type": COUNT,
        "default": 8,
        "help": "Utterances computed together; more is faster and takes more memory",
    },
    "nj": {
        "type": COUNT,
        "default": 1,
        "help": "Processes, each with a copy of the model",
    },
    "part_size": {
        "type": COUNT,
        "default": 64,
        "help": "Utterances per checkpoint, at most: a stopped command that is "
        "repeated loses no more than these in each process",
    },
    "wav": {
        "nargs": "+",
        "metavar": "FILE",
        "help": "Recordings; their names are the ids",
    },
    "wav_scp": {"metavar": "FILE", "help": "List of recordings: 'id path' lines"},
    "text": {"help": "Transcript of a single --wav (default: it is recognised)"},
    "text_file": {
        "metavar": "FILE",
        "help": "Transcripts: 'id word word ...' lines (default: they are recognised)",
    },
    "codes": {
        "metavar": "DIR",
        "help": "Folder that 'tokenize' or 'continue' wrote, instead of recordings",
    },
    "voice": {
        "metavar": "FILE",
        "help": "Recording of the voice (default: the one of each utterance)",
    },
}
"""Options that mean the same in several sub-commands."""
_HELP = field_help(UnitSampling)
for _name, _kind in SAMPLING.items():
    OPTIONS[_name] = {"type": _kind, "help": f"{_HELP[_name]} ({_MODEL})"}
MODEL = ("model", "cache_dir", "ngpu", "log_level")
OUTPUT = ("output", "batch_size", "nj", "part_size")
WAVS = ("wav", "wav_scp", "text", "text_file")
SPEECH = (*MODEL, *OUTPUT, *WAVS, "codes")
SPOKEN = (*SPEECH, "voice", *SAMPLING)
"""Of sub-commands that speak what they are given."""


def add(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add options of :data:`OPTIONS`."""
    for name in names:
        parser.add_argument(f"--{name}", **OPTIONS[name])


def sampling_of(args: argparse.Namespace) -> dict[str, Any]:
    """Fields of ``UnitSampling`` that were given.

    Raises:
        ValueError: The shortest speech is longer than the longest.
    """
    given = {name: getattr(args, name) for name in SAMPLING}
    check_order(args, "min_unit_ratio", "max_unit_ratio")
    return {name: value for name, value in given.items() if value is not None}


def check_order(args: argparse.Namespace, least: str, most: str) -> None:
    """Refuse a smallest value above the largest.

    Raises:
        ValueError: It is.
    """
    low, high = getattr(args, least), getattr(args, most)
    if low is not None and high is not None and low > high:
        raise ValueError(f"--{least} {low} is more than --{most} {high}")


def settings_of(args: argparse.Namespace, inputs: Sequence[str] = ()) -> dict:
    """What the results depend on beside the utterances.

    Args:
        args: Options of a command.
        inputs: Options that name utterances beside those of ``RECORDINGS``, which the
            digest of each utterance covers.

    Returns:
        Options; those that name files with a digest of them.
    """
    left_out = {*WORK, *RECORDINGS, *inputs}
    settings = {k: v for k, v in vars(args).items() if k not in left_out}
    for name in ("model", "voice", "style"):
        if settings.get(name) and Path(settings[name]).exists():
            settings[name] += f" (digest {digest_files(settings[name])})"
    return settings


def digest_files(place: str | Path) -> str:
    """Fingerprint of a file, or of a folder, by sizes and times of change."""
    place = Path(place).absolute()
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    return digest(files, contents=False)


def digest_values(*values: object) -> str:
    """Fingerprint of values, sixteen hexadecimal digits."""
    return hashlib.sha256(repr(values).encode("utf-8")).hexdigest()[:16]
