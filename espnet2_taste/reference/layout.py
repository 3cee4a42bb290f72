"""A folder in the published model's form: read and written, nothing interpreted.

Enters: a local folder with ``config.json``, weights in ``model.safetensors`` or in
shards named by ``model.safetensors.index.json``, and optionally the voice generator
(``voice_generator.safetensors`` or ``.pth``, weights only). Leaves: a
``PublishedFolder``, and the same files again.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from espnet2_taste.data.files import read_json, whole_file
from espnet2_taste.experiment_files import load_weights
from espnet2_taste.reference.names import State

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
SECTIONS = (
    "audio_tower_config",
    "speech_decoder_config",
    "spoken_lm_config",
    "text_config",
)
VOICES = ("voice_generator.safetensors", "voice_generator.pth")


@dataclass(frozen=True)
class PublishedFolder:
    """Content of such a folder.

    Attributes:
        config: ``config.json``.
        state: All weights by name, in the dtypes of the files.
        places: File of each weight.
        voice: Weights of the voice generator; empty when there is none.
        voice_file: Its file name, or None.
    """

    config: dict
    state: State
    places: dict[str, str]
    voice: State
    voice_file: str | None


def read_folder(folder: Path) -> PublishedFolder:
    """Read a folder.

    Args:
        folder: Local folder.

    Returns:
        Its content.

    Raises:
        ValueError: A file is missing, damaged or does not hold what the index says.
    """
    if not (folder / CONFIG).is_file():
        raise ValueError(
            f"'{folder}' has no {CONFIG}: give a local copy of the published model"
        )
    config = read_json(folder / CONFIG)
    absent = [name for name in SECTIONS if name not in config]
    if absent:
        raise ValueError(f"'{folder / CONFIG}' has no section {shown(absent)}")
    index = folder / INDEX
    listed = read_json(index)["weight_map"] if index.is_file() else {}
    state, places = {}, {}
    for file in sorted(set(listed.values())) or [WEIGHTS]:
        for name, tensor in read_tensors(folder / file).items():
            state[name], places[name] = tensor, file
    if listed and listed != places:
        wrong = sorted(
            name for name in listed | places if listed.get(name) != places.get(name)
        )
        raise ValueError(
            f"{INDEX} and the shards disagree about {shown(wrong)}: fetch the folder "
            "anew"
        )
    voice_file = next((name for name in VOICES if (folder / name).is_file()), None)
    voice = read_tensors(folder / voice_file) if voice_file else {}
    return PublishedFolder(config, state, places, voice, voice_file)


def read_tensors(path: Path) -> State:
    """Tensors of a ``.safetensors`` or ``.pth`` file, without running any code in it.

    Args:
        path: The file.

    Returns:
        Names -> tensors.

    Raises:
        ValueError: The file is missing or holds something else than named tensors.
    """
    if not path.is_file():
        raise ValueError(f"no such file: '{path}'; the folder is incomplete")
    try:
        state = load_weights(path)
    except RuntimeError as error:
        raise ValueError(str(error)) from error
    if not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise ValueError(f"'{path}' does not hold named tensors only")
    return state


def write_tensors(path: Path, state: Mapping[str, torch.Tensor]):
    """Write tensors; the suffix chooses the format.

    Args:
        path: ``.safetensors`` or ``.pth``; replaced only when complete.
        state: Names -> tensors.
    """
    whole = {name: tensor.contiguous() for name, tensor in state.items()}
    with whole_file(path) as part:
        if path.suffix == ".safetensors":
            from safetensors.torch import save_file

            save_file(whole, str(part), metadata={"format": "pt"})
        else:
            torch.save(whole, part)


def write_folder(folder: Path, content: PublishedFolder):
    """Write a folder, weights in the files that ``content.places`` names.

    Args:
        folder: Created when absent.
        content: What to write.

    Raises:
        ValueError: A weight without a place.
    """
    lost = sorted(set(content.state) - set(content.places))
    if lost:
        raise ValueError(f"no file is named for {shown(lost)}")
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted({content.places[name] for name in content.state})
    for file in files:
        part = {n: t for n, t in content.state.items() if content.places[n] == file}
        write_tensors(folder / file, part)
    if files != [WEIGHTS]:
        size = sum(t.numel() * t.element_size() for t in content.state.values())
        index = {
            "metadata": {"total_size": size},
            "weight_map": {name: content.places[name] for name in content.state},
        }
        write_json(folder / INDEX, index)
    if content.voice_file:
        write_tensors(folder / content.voice_file, content.voice)
    write_json(folder / CONFIG, content.config)


def write_json(path: Path, content: Mapping):
    """Write a JSON file with two spaces of indentation."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def compare(
    given: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], what: str
):
    """Refuse weights that are not exactly those wanted.

    Args:
        given: Weights found.
        wanted: Weights the configuration calls for; only their shapes count.
        what: Source of ``given`` for the message.

    Raises:
        ValueError: Names are missing or unknown, or shapes differ; all are named.
    """
    missing = sorted(set(wanted) - set(given))
    unknown = sorted(set(given) - set(wanted))
    shapes = [
        f"{name} {tuple(given[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in sorted(set(given) & set(wanted))
        if given[name].shape != wanted[name].shape
    ]
    if missing or unknown or shapes:
        raise ValueError(
            f"the weights of {what} are not those its configuration calls for. "
            f"Missing: {shown(missing)}. Unknown: {shown(unknown)}. Of another shape: "
            f"{shown(shapes)}. Complete the folder or correct the configuration"
        )


def shown(names: Iterable[str]) -> str:
    """All names in one line, "none" when there are none."""
    return ", ".join(names) or "none"
