"""Experiment directories as a published folder: the inverse of ``importing``.

Enters: the directories that an import wrote, or experiments that were trained on from
them. Leaves: a folder in the published layout, shard by shard as it was. Weights that
were not trained since the import come back bit for bit.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from espnet2_taste.reference import importing, layout, names, skeleton
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
                f"no such file: '{path}'; give a directory that import_reference "
                "wrote, or an experiment trained from it"
            )
        return yaml.safe_load(path.read_text(encoding="utf-8"))

    def weights(self) -> State:
        """Weights by our names."""
        return layout.read_tensors(self.directory / self.model_file)


@dataclass(frozen=True)
class ExportSources:
    """Where the parts of a published folder come from.

    Attributes:
        root: Directory that the import wrote.
        taste: The TASTE tokenizer.
        taslm: The spoken LM.
        vocoder: The unit vocoder; used when the imported folder had one.
    """

    root: Path
    taste: Experiment
    taslm: Experiment
    vocoder: Experiment


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
        ValueError: Parts are missing or do not belong together.
    """
    record = sources.root / importing.RECORD
    for name in (layout.CONFIG, importing.FILES_FILE):
        if not (record / name).is_file():
            raise ValueError(
                f"'{sources.root}' was not written by import_reference: "
                f"{importing.RECORD}/{name} is missing"
            )
    config = _json(record / layout.CONFIG)
    files = _json(record / importing.FILES_FILE)
    state = layout.read_tensors(record / importing.UNUSED_FILE)
    state |= _taste(sources.taste) | _taslm(sources, config)
    voice = {}
    if files["voice_file"]:
        voice = _vocoder(sources.vocoder)
    content = PublishedFolder(
        config,
        {name: state[name] for name in files["places"]},
        files["places"],
        voice,
        files["voice_file"],
    )
    layout.write_folder(output_dir, content)
    for path in sorted((sources.root / importing.ONNX).glob("*.onnx")):
        shutil.copyfile(path, output_dir / path.name)


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _directory(place: str) -> Path:
    """Directory of a part; configurations may name its ``config.json`` instead."""
    return Path(place).parent if Path(place).is_file() else Path(place)


def _taste(experiment: Experiment) -> State:
    options = experiment.options()
    whisper = _directory(options["speech_encoder_conf"]["model"])
    state = names.taste_to_published(experiment.weights())
    frozen = layout.read_tensors(whisper / layout.WEIGHTS)
    state |= names.under(names.below(frozen, "encoder."), names.ENCODER)
    wanted = skeleton.taste_weights(options, _json(whisper / layout.CONFIG))
    layout.compare(state, wanted, f"'{experiment.directory}'")
    return state


def _taslm(sources: ExportSources, config: Mapping[str, Any]) -> State:
    experiment = sources.taslm
    options, weights = experiment.options(), experiment.weights()
    _check_quantizer(sources, weights)
    simple_sum = options["input_fusion"] == "simple_sum"
    own = {n: t for n, t in weights.items() if n.startswith(names.TASLM)}
    state = names.taslm_to_published(own, simple_sum)
    wanted = skeleton.taslm_weights(options, config["text_config"])
    lm = layout.read_tensors(_directory(options["init_lm"]) / layout.WEIGHTS)
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
