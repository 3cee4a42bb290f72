"""The model card of a packed model, written from its run.

Enters: experiments of a recipe, the sets they were trained on, RESULTS.md. Leaves:
``README.md`` with the metadata that the Hugging Face hub reads. What is not known (a
set that is gone, a study that was not made) is said to be unknown; nothing is guessed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet2_taste.data.audio_arks import file_of
from espnet2_taste.data.files import read_yaml
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.experiment_files import load_weights
from espnet2_taste.metrics.tables import markdown_table

CITATION = """@article{tseng2025taste,
  title   = {TASTE: Text-Aligned Speech Tokenization and Embedding for Spoken
             Language Modeling},
  author  = {Tseng, Liang-Hsuan and Chen, Yi-Chang and Lee, Kuan-Yi and
             Shiu, Da-Shan and Lee, Hung-yi},
  journal = {arXiv preprint arXiv:2504.07053},
  year    = {2025}
}
@inproceedings{watanabe2018espnet,
  title     = {{ESPnet}: End-to-End Speech Processing Toolkit},
  author    = {Watanabe, Shinji and others},
  booktitle = {Proceedings of Interspeech},
  year      = {2018}
}"""
LIMITS = """
- It was trained on the data listed above and nothing else: other languages, accents,
  noise and spontaneous speech are outside of what was measured.
- Texts are normalised as the training's were; words that the vocabulary cannot write
  are refused. Without a transcript, mistakes of the speech recogniser become mistakes
  of the words.
- Generated speech and text can be wrong, biased or offensive; nothing is filtered.
- A voice can be imitated from a recording. Do so only with the speaker's consent."""


_LM = ("layout", "layout_conf", "model_conf")
_TOKENIZER = ("speech_encoder", "states_source", "word_timer", "aggregator")
SETTINGS = {
    "taste": (*_TOKENIZER, "quantizer", "quantizer_conf", "model_conf"),
    "taslm": ("input_fusion", "head", *_LM),
    "unit_lm": ("grid_head", "tail_head", *_LM),
}
"""Options of trained networks that the card lists."""
FROZEN = ("asr_exp", "model", "init_lm", "codec_exp", "onnx_file")


@dataclass(frozen=True)
class PackedExperiment:
    """One trained network of a package.

    Attributes:
        name: What it is.
        choice: Option that says which class it is.
        config: Its ``config.yaml``.
        weights: Its checkpoint.
    """

    name: str
    choice: str
    config: Path
    weights: Path


def model_card(
    experiments: Sequence[PackedExperiment],
    loader: str,
    languages: Sequence[str],
    license: str,
    results: str,
) -> str:
    """Write the card.

    Args:
        experiments: The networks; the first one names the package.
        loader: Class that loads the package.
        languages: ISO 639 codes.
        license: SPDX identifier of the weights, lower case, as the hub wants it.
        results: Markdown of RESULTS.md, empty if there is none.

    Returns:
        Markdown with the hub's metadata.
    """
    parts, sets, frozen, settings = [], {}, {}, {}
    for item in experiments:
        config = read_yaml(item.config)
        parts.append(count_part(item, str(config.get(item.choice) or "default")))
        sets |= {folder.name: count_set(folder) for folder in _training_sets(config)}
        frozen |= {f"{item.name}, {k}": v for k, v in _frozen(config).items()}
        listed = [k for k in SETTINGS.get(item.name, ()) if config.get(k)]
        settings |= {f"{item.name}, {key}": config[key] for key in listed}
    results = results.strip() or "RESULTS.md was not there when this was packed."
    sections = [
        _metadata(languages, license),
        f"# {loader} of {experiments[0].config.parent.name}",
        _usage(loader),
        "## Intended use\n\nResearch on speech tokens and spoken language models. It "
        "is no product: check it on your own speech before you rely on it.",
        "## Training data\n\n"
        + markdown_table(("set", "utterances", "speakers", "hours"), sets.values()),
        f"Languages: {', '.join(languages)}.",
        "## Sizes\n\n"
        + markdown_table(("part", "kind", "trained parameters", "checkpoint"), parts),
        _list("Frozen parts", frozen),
        _list("Settings", settings),
        "## Results\n\n" + _demoted(results),
        "## Limits\n" + LIMITS,
        f"## Licence\n\nWeights: {license}. Code: Apache-2.0 (LICENSE).",
        f"## Citation\n\n```bibtex\n{CITATION}\n```",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _training_sets(config: Mapping) -> list[Path]:
    """Folders of the sets that the configuration of an experiment names."""
    rows = config.get("train_data_path_and_name_and_type") or []
    return [Path(path).parent for path, *_ in rows if Path(path).name == "wav.scp"]


def count_set(folder: Path) -> tuple[str, ...]:
    """Count utterances, speakers and hours of a formatted set (stage 2).

    Args:
        folder: With ``utt2spk`` and ``utt2num_samples``.

    Returns:
        Its name and what is known: cells of a table.
    """
    from espnet2_taste.data.audio import read_header

    utterances = speakers = hours = "unknown"
    if (folder / "utt2spk").is_file():
        known = read_table(folder / "utt2spk")
        utterances, speakers = str(len(known)), str(len(set(known.values())))
    if (folder / "utt2num_samples").is_file() and (folder / "wav.scp").is_file():
        wav = next(iter(read_table(folder / "wav.scp").values()))
        if Path(file_of(wav)).is_file():
            samples = map(int, read_table(folder / "utt2num_samples").values())
            hours = f"{sum(samples) / read_header(wav).samplerate / 3600:.2f}"
    return folder.name, utterances, speakers, hours


def count_part(item: PackedExperiment, kind: str) -> tuple[str, ...]:
    """Count the numbers in a checkpoint, which holds no frozen parts.

    Args:
        item: A trained network.
        kind: Its class.

    Returns:
        Name, kind, numbers and size: cells of a table.
    """
    count = sum(tensor.numel() for tensor in load_weights(item.weights).values())
    size = item.weights.stat().st_size / 1e6
    return item.name, kind, f"{count / 1e6:.2f} M", f"{size:.1f} MB"


def _metadata(languages: Sequence[str], license: str) -> str:
    import yaml

    content = {
        "tags": ["espnet", "audio", "speech-tokenization", "taste"],
        "language": list(languages),
        "license": license,
    }
    return f"---\n{yaml.safe_dump(content, sort_keys=False)}---"


def _usage(loader: str) -> str:
    return (
        "Text-aligned speech tokens ([arXiv 2504.07053]"
        "(https://arxiv.org/abs/2504.07053)) with `espnet2_taste`:\n\n```python\n"
        f"from espnet2_taste.inference import {loader}\n\n"
        f'model = {loader}.from_pretrained("this repository or archive")\n```'
    )


def _list(title: str, items: Mapping) -> str:
    lines = [f"- {name}: `{value}`" for name, value in items.items()]
    return f"## {title}\n\n" + "\n".join(lines) if lines else ""


def _demoted(markdown: str) -> str:
    """Headings one level down, the first one left out."""
    lines = markdown.splitlines()
    if lines[0].startswith("# "):
        lines = lines[1:]
    moved = [f"#{line}" if line.startswith("#") else line for line in lines]
    return "\n".join(moved).strip()


def _frozen(options: Mapping) -> dict[str, str]:
    """Options that name frozen models, at any depth; only the ends of local paths."""
    found: dict[str, str] = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            found |= _frozen(value)
        elif name in FROZEN and isinstance(value, str) and value:
            place = Path(value)
            found[name] = place.name if place.exists() else value
    return found
