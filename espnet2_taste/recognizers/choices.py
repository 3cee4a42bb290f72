"""Which recognizer: a kind with options, or a place whose files say the kind.

Enters: ``--recognizer`` and ``--recognizer_conf``. Leaves: an ``AbsRecognizer``. The
option is one of

- an ESPnet experiment (directory, archive, tag of a published model),
- a Hugging Face directory or hub name: Whisper, or a model with a CTC head,
- a name in ``recognizer_choices``, with ``model`` in the options,
- a YAML file with ``recognizer`` and ``recognizer_conf``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from espnet2.train.class_choices import ClassChoices

from espnet2_taste.experiment_files import (
    config_of,
    from_hub,
    local_place,
    read_config,
)
from espnet2_taste.recognizers.abs_recognizer import AbsRecognizer
from espnet2_taste.recognizers.espnet import EspnetRecognizer
from espnet2_taste.recognizers.hf_ctc import HfCtcRecognizer
from espnet2_taste.recognizers.whisper import WhisperRecognizer

recognizer_choices = ClassChoices(
    "recognizer",
    classes={
        "espnet": EspnetRecognizer,
        "whisper": WhisperRecognizer,
        "hf_ctc": HfCtcRecognizer,
    },
    type_check=AbsRecognizer,
    default="espnet",
)


def find_recognizer(
    place: str, conf: Mapping[str, Any] | None = None
) -> tuple[str, dict[str, Any]]:
    """Kind and options of a recognizer.

    Args:
        place: See the top of this file.
        conf: Options beside it; they come before those of a YAML file.

    Returns:
        A name in ``recognizer_choices``, and its options with ``model``.

    Raises:
        ValueError: There is no such recognizer, or an option is unknown.
    """
    conf = dict(conf or {})
    record = Path(place)
    if record.suffix in (".yaml", ".yml") and "recognizer" in (
        options := read_config(record) if record.is_file() else {}
    ):
        known = dict(options.get("recognizer_conf") or {})
        return find_recognizer(options["recognizer"], known | conf)
    if place in recognizer_choices.classes and "model" in conf:
        return place, conf
    return _kind_of(place), {"model": str(place), **conf}


def load_recognizer(place: str, conf: Mapping[str, Any] | None = None) -> AbsRecognizer:
    """Recognizer that the options name; see :func:`find_recognizer`."""
    kind, options = find_recognizer(place, conf)
    try:
        return recognizer_choices.get_class(kind)(**options)
    except TypeError as error:
        raise ValueError(f"recognizer_conf of '{kind}': {error}") from error


def recognizer_of(options: Mapping[str, Any]) -> tuple[str, Mapping | None]:
    """The recognizer of a TASTE experiment, otherwise that of its speech encoder.

    Args:
        options: ``config.yaml`` of the experiment.

    Returns:
        What :func:`find_recognizer` takes.

    Raises:
        RuntimeError: There is none.
    """
    place, conf = options.get("recognizer"), options.get("recognizer_conf")
    encoder = options.get("speech_encoder_conf") or {}
    place = place or encoder.get("asr_exp", encoder.get("model"))
    if place is None:
        raise RuntimeError(
            "no recognizer is known, which word times and speech without text need: "
            "pack one, or, in Python, give texts and timings=False"
        )
    return str(place), conf


def _kind_of(place: str) -> str:
    """Which kind of recognizer lies there."""
    other = Path(local_place(place)) / "config.json"
    if config_of(place).is_file() and not other.is_file():
        return "espnet"
    from transformers import AutoConfig  # seconds, which ESPnet's need not wait for

    try:
        config = from_hub(AutoConfig, place, trust_remote_code=False)
    except (OSError, ValueError):  # no Hugging Face model: ESPnet's zoo may know it
        return "espnet"
    if config.model_type == "whisper":
        return "whisper"
    classes = config.architectures or []
    if any(name.endswith("ForCTC") for name in classes):
        return "hf_ctc"
    raise ValueError(
        f"--recognizer {place}: a model of type '{config.model_type}' "
        f"({', '.join(classes)}) is no recognizer; expected Whisper, a model with a "
        "CTC head (...ForCTC), or an ESPnet experiment"
    )
