"""Experiment directories as a published folder: the inverse of ``importing``.

Enters: the directories that an import wrote, experiments that were trained on from
them, or experiments of the same architecture that were trained here. Leaves: a folder
in the published layout, after an import shard by shard as it was. Weights that were not
trained since the import come back bit for bit.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from espnet2_taste.data.files import read_json, read_yaml
from espnet2_taste.experiment_files import local_place
from espnet2_taste.reference import (
    configs,
    importing,
    layout,
    names,
    publishing,
    skeleton,
)
from espnet2_taste.reference.layout import PublishedFolder
from espnet2_taste.reference.names import State


@dataclass(frozen=True)
class Experiment:
    """An experiment directory and which of its weights to take.

    Attributes:
        directory: With ``config.yaml``.
        model_file: Name of the weights in it.
    """

    directory: Path
    model_file: str = importing.MODEL_FILE

    def options(self) -> dict[str, Any]:
        """Options in ``config.yaml``.

        Raises:
            ValueError: There is none.
        """
        path = self.directory / "config.yaml"
        if not path.is_file():
            raise ValueError(
                f"no such file: '{path}'; give a directory that imports reference "
                "wrote, or an experiment trained from it"
            )
        return read_yaml(path)

    def weights(self) -> State:
        """Weights by our names."""
        return layout.read_tensors(self.directory / self.model_file)


@dataclass(frozen=True)
class ExportSources:
    """Where the parts of a published folder come from.

    Attributes:
        root: Directory that the import wrote, None without an import.
        taste: The TASTE tokenizer.
        taslm: The spoken LM.
        vocoder: The unit vocoder, or None; used when the imported folder had one.
    """

    root: Path | None
    taste: Experiment
    taslm: Experiment
    vocoder: Experiment | None


def imported(root: Path) -> ExportSources:
    """Find the experiments that an import wrote.

    Args:
        root: Its output directory.

    Returns:
        All of them.
    """
    found = (name for name in importing.TASLM_EXPS if (root / name).is_dir())
    taslm = next(found, importing.TASLM_EXPS[0])
    return ExportSources(
        root,
        Experiment(root / importing.TASTE_EXP),
        Experiment(root / taslm),
        Experiment(root / importing.VOCODER_EXP),
    )


def export_folder(sources: ExportSources, output_dir: Path):
    """Write a published folder.

    Args:
        sources: Where the parts come from.
        output_dir: The folder; files of the same names are replaced.

    Raises:
        ValueError: Parts are missing, do not belong together or have no place in the
            published layout.
    """
    record = new_record(sources) if sources.root is None else kept_record(sources.root)
    state = record.state | _taste(sources.taste, record.config)
    state |= _taslm(sources, record.config)
    places = record.places or dict.fromkeys(sorted(state), layout.WEIGHTS)
    content = replace(
        record,
        state={name: state[name] for name in places},
        places=places,
        voice=_vocoder(sources.vocoder) if record.voice_file else {},
    )
    layout.write_folder(output_dir, content)
    if sources.root is not None:
        for path in sorted((sources.root / importing.ONNX).glob("*.onnx")):
            shutil.copyfile(path, output_dir / path.name)


def kept_record(root: Path) -> PublishedFolder:
    """What an import kept for the export: a folder without what experiments hold.

    Args:
        root: Output directory of the import.

    Returns:
        The folder; its weights are those that only the published code saves.

    Raises:
        ValueError: The directory was not written by an import.
    """
    record = root / importing.RECORD
    for name in (layout.CONFIG, importing.FILES_FILE):
        if not (record / name).is_file():
            raise ValueError(
                f"'{root}' was not written by imports reference: "
                f"{importing.RECORD}/{name} is missing; leave --imported_dir out and "
                "name the experiments to export models trained here"
            )
    files = read_json(record / importing.FILES_FILE)
    unused = layout.read_tensors(record / importing.UNUSED_FILE)
    config = read_json(record / layout.CONFIG)
    return PublishedFolder(config, unused, files["places"], {}, files["voice_file"])


def new_record(sources: ExportSources) -> PublishedFolder:
    """Describe experiments that were trained here.

    Args:
        sources: The experiments.

    Returns:
        A folder without what they hold and without places; weights that nobody uses
        are zeros.

    Raises:
        ValueError: They have parts that the published model does not have.
    """
    taste, taslm = sources.taste.options(), sources.taslm.options()
    publishing.check_parts(taste, taslm)
    weights = names.taste_to_published(sources.taste.weights())
    text_config = read_json(Path(local_place(taslm["init_lm"]), layout.CONFIG))
    config = publishing.published_config(taste, weights, taslm, text_config)
    options = _taslm_options(config)
    unused = skeleton.unused_weights(options)
    zeros = {name: torch.zeros(tensor.shape) for name, tensor in unused.items()}
    voice_file = layout.VOICES[0] if sources.vocoder else None
    return PublishedFolder(config, zeros, {}, {}, voice_file)


def _taslm_options(config: Mapping[str, Any]) -> dict[str, Any]:
    """Options that the import would give the spoken LM."""
    quantizer = configs.quantizer_options(
        config["audio_tower_config"]["kwargs_for_quantizer"]
    )
    return configs.taslm_options(config, False, quantizer)


def _taste(experiment: Experiment, config: Mapping[str, Any]) -> State:
    whisper = Path(local_place(experiment.options()["speech_encoder_conf"]["model"]))
    state = names.taste_to_published(experiment.weights())
    frozen = layout.read_tensors(whisper / layout.WEIGHTS)
    state |= names.under(names.below(frozen, "encoder."), names.ENCODER)
    sizes = read_json(whisper / layout.CONFIG)
    options = configs.taste_options(config, sizes, state)
    wanted = skeleton.taste_weights(options, sizes)
    layout.compare(state, wanted, f"'{experiment.directory}'")
    return state


def _taslm(sources: ExportSources, config: Mapping[str, Any]) -> State:
    experiment = sources.taslm
    options, weights = experiment.options(), experiment.weights()
    _check_quantizer(sources, weights)
    simple_sum = options["input_fusion"] == "simple_sum"
    own = {n: t for n, t in weights.items() if n.startswith(names.TASLM)}
    state = names.taslm_to_published(own, simple_sum)
    wanted = skeleton.taslm_weights(_taslm_options(config), config["text_config"])
    lm = layout.read_tensors(Path(local_place(options["init_lm"]), layout.WEIGHTS))
    for name in wanted:
        if names.is_text_lm(name) and name not in state:
            plain = next(iter(names.text_lm_from_published({name: wanted[name]})))
            if plain in lm:
                state[name] = lm[plain]
    layout.compare(state, wanted, f"'{experiment.directory}'")
    return state


def _check_quantizer(sources: ExportSources, weights: State):
    """The spoken LM speaks the codes of one quantizer; refuse another one."""
    own = names.below(weights, names.TASLM_QUANTIZER)
    taste = names.below(sources.taste.weights(), names.OUR_QUANTIZER)
    other = sorted(
        name
        for name in own | taste
        if name not in own
        or name not in taste
        or not torch.equal(own[name], taste[name])
    )
    if other:
        raise ValueError(
            f"the quantizer of '{sources.taslm.directory}' is not the one of "
            f"'{sources.taste.directory}' ({layout.shown(other)} differ): train the "
            "spoken LM with the codes of this tokenizer"
        )


def _vocoder(experiment: Experiment) -> State:
    voice = names.below(experiment.weights(), "vocoder.")
    wanted = skeleton.vocoder_weights(experiment.options())
    layout.compare(voice, wanted, f"'{experiment.directory}'")
    return voice
