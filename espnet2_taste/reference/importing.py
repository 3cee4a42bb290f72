"""A published folder as experiment directories.

Enters: a folder in the published layout, with the directories of the Whisper and the
text LM it names (configuration and tokenizer). Leaves, below one directory:

- ``taste_vq``, ``taslm_embed`` or ``taslm_token``, ``unit_vocoder``: ``config.yaml``
  and ``valid.loss.best.pth``, as our tasks write and load them;
- ``whisper``, ``llm``: Hugging Face directories of the frozen parts;
- ``reference``: what only the published layout has, for the export;
- ``onnx``: unit and speaker extractors, when the folder has them.

Weights keep the dtypes of the files, so an export gives back the same bits.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from espnet2_taste.data.files import read_json
from espnet2_taste.experiment_files import merged
from espnet2_taste.reference import configs, layout, names, skeleton
from espnet2_taste.reference.layout import PublishedFolder
from espnet2_taste.reference.names import State
from espnet2_taste.text.training import write_directory

TASTE_EXP = "taste_vq"
TASLM_EXPS = ("taslm_embed", "taslm_token")
VOCODER_EXP = "unit_vocoder"
WHISPER, LLM, RECORD, ONNX = "whisper", "llm", "reference", "onnx"
MODEL_FILE = "valid.loss.best.pth"
UNUSED_FILE = "unused.safetensors"
FILES_FILE = "files.json"
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".msgpack", ".h5")


@dataclass(frozen=True)
class ImportOptions:
    """What the folder itself does not say.

    Attributes:
        whisper: Directory with configuration and tokenizer of the audio tower's
            Whisper.
        llm: Directory with the tokenizer of the text LM.
        reference_compat: Import with the published rules where ours differ.
        vocoder: Changes to the options of the unit vocoder.
    """

    whisper: Path
    llm: Path
    reference_compat: bool = False
    vocoder: Mapping[str, Any] = field(default_factory=dict)


def import_folder(source: Path, output_dir: Path, options: ImportOptions) -> list[Path]:
    """Import a published folder.

    Args:
        source: The folder.
        output_dir: Receives the directories; those of the same names are replaced.
        options: What the folder does not say.

    Returns:
        The directories written.

    Raises:
        ValueError: Weights are missing, unknown or of another shape, each named; or
            the model is of a kind our modules do not have. Nothing is then written.
    """
    content = layout.read_folder(source)
    taste, taslm = _task_options(content, options)
    text_config = content.config["text_config"]
    wanted = skeleton.taste_weights(taste, _whisper_config(options.whisper))
    wanted |= skeleton.taslm_weights(taslm, text_config)
    unused = skeleton.unused_weights(taslm)
    layout.compare(content.state, wanted | unused, f"'{source}'")
    used = {name: content.state[name] for name in wanted}
    plan = {
        WHISPER: partial(_fill_whisper, used, options.whisper),
        LLM: partial(_fill_llm, content, options.llm),
        TASTE_EXP: partial(_fill_taste, used, taste, output_dir),
        taslm_exp(taslm): partial(_fill_taslm, content.config, used, taslm, output_dir),
        RECORD: partial(_fill_record, content, unused),
        **_vocoder_plan(content, options.vocoder),
    }
    extractors = sorted(source.glob("*.onnx"))
    if extractors:
        plan[ONNX] = partial(_copy, extractors)
    return _carry_out(plan, output_dir)


def _task_options(content: PublishedFolder, options: ImportOptions) -> tuple:
    """Options of the TASTE tokenizer and of the spoken LM."""
    whisper = _whisper_config(options.whisper)
    try:
        taste = configs.taste_options(content.config, whisper, content.state)
        quantizer = taste["quantizer_conf"]
        taslm = configs.taslm_options(
            content.config, options.reference_compat, quantizer
        )
    except KeyError as error:
        raise ValueError(
            f"config.json, or that of Whisper, has no entry {error}: give those of "
            "the published model"
        ) from error
    return taste, taslm


def _vocoder_plan(content: PublishedFolder, changes: Mapping[str, Any]) -> dict:
    """What to write of the voice generator; nothing when there is none."""
    if not content.voice:
        return {}
    options = merged(configs.vocoder_options(content.voice), changes)
    wanted = skeleton.vocoder_weights(options)
    layout.compare(content.voice, wanted, content.voice_file)
    return {VOCODER_EXP: partial(_fill_vocoder, content.voice, options)}


def _carry_out(plan: Mapping[str, Callable[[Path], None]], root: Path) -> list[Path]:
    for name, fill in plan.items():
        write_directory(root / name, fill)
    return [root / name for name in plan]


def taslm_exp(options: Mapping[str, Any]) -> str:
    """Name of the spoken LM's directory, by the kind of its head."""
    return TASLM_EXPS[options["head"] != configs.LATENT_HEAD]


def _whisper_config(directory: Path) -> dict[str, Any]:
    path = directory / layout.CONFIG
    if not path.is_file():
        raise ValueError(
            f"'{directory}' has no {layout.CONFIG}: give a local copy of the Whisper "
            "model that the published config.json names (weights are not needed)"
        )
    return read_json(path)


def _copy(files: list[Path], directory: Path):
    for path in files:
        shutil.copyfile(path, directory / path.name)


def _small_files(directory: Path) -> list[Path]:
    """All files but weights."""
    if not directory.is_dir():
        raise ValueError(f"no such directory: '{directory}'")
    files = (path for path in sorted(directory.iterdir()) if path.is_file())
    return [path for path in files if path.suffix not in WEIGHT_SUFFIXES]


def _fill_whisper(state: State, source: Path, directory: Path):
    _copy(_small_files(source), directory)
    whisper = names.under(names.below(state, names.ENCODER), "encoder.")
    whisper |= names.under(names.below(state, names.DECODER), "decoder.")
    layout.write_tensors(directory / layout.WEIGHTS, whisper)


def _fill_llm(content: PublishedFolder, source: Path, directory: Path):
    _copy(_small_files(source), directory)
    layout.write_json(directory / layout.CONFIG, content.config["text_config"])
    lm = names.text_lm_from_published(content.state)
    layout.write_tensors(directory / layout.WEIGHTS, lm)


def _fill_taste(state: State, options: Mapping[str, Any], root: Path, directory: Path):
    from espnet2_taste.tasks.taste import TasteTask

    whisper = str(root / WHISPER)
    encoder = options["speech_encoder_conf"] | {"model": whisper}
    paths = {"tokenizer_path": whisper, "speech_encoder_conf": encoder}
    renamed = names.taste_from_published(state)
    frozen = "tokenizer.encoder."
    own = {name: t for name, t in renamed.items() if not name.startswith(frozen)}
    _write_exp(directory, TasteTask, {**options, **paths}, own)


def _fill_taslm(
    config: Mapping[str, Any],
    published: State,
    options: Mapping[str, Any],
    root: Path,
    directory: Path,
):
    from espnet2_taste.tasks.spoken_lm import SpokenLMTask

    adapted = options["adaptation"] == "lora"
    kept = {n: t for n, t in published.items() if not (adapted and names.is_text_lm(n))}
    own = names.taslm_from_published(kept)
    if not adapted and config["text_config"].get("tie_word_embeddings"):
        lm = names.TASLM + "backbone.lm."
        own[lm + "lm_head.weight"] = own[lm + "model.embed_tokens.weight"]
    taste = names.taste_from_published(published)
    own |= names.under(names.below(taste, names.OUR_QUANTIZER), names.TASLM_QUANTIZER)
    llm = str(root / LLM)
    paths = {"init_lm": llm, "tokenizer_path": llm}
    _write_exp(directory, SpokenLMTask, {**options, **paths}, own)


def _fill_vocoder(voice: State, options: Mapping[str, Any], directory: Path):
    from espnet2_taste.tasks.unit_vocoder import UnitVocoderTask

    own = names.under(voice, "vocoder.")
    _write_exp(directory, UnitVocoderTask, options, own)


def _fill_record(content: PublishedFolder, unused: State, directory: Path):
    layout.write_json(directory / layout.CONFIG, content.config)
    files = {"places": content.places, "voice_file": content.voice_file}
    layout.write_json(directory / FILES_FILE, files)
    kept = {name: content.state[name] for name in unused}
    layout.write_tensors(directory / UNUSED_FILE, kept)


def _write_exp(directory: Path, task, options: Mapping[str, Any], state: State):
    """Write an experiment: the task's defaults with ``options``, and the weights."""
    parser = task.get_parser()
    defaults = vars(parser.parse_args([]))
    dropped = set(task.exclude_opts())
    config = {name: x for name, x in defaults.items() if name not in dropped}
    with open(directory / "config.yaml", "w", encoding="utf-8") as stream:
        yaml.safe_dump({**config, **options}, stream, sort_keys=False)
    layout.write_tensors(directory / MODEL_FILE, state)
