"""The model card of a packed model, written from its run.

Enters: experiments of a recipe, the sets they were trained on, RESULTS.md. Leaves:
``README.md`` with the metadata that the Hugging Face hub reads. What is not known (a
set that is gone, a study that was not made) is said to be unknown; nothing is guessed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet2_taste.data.audio_arks import file_of
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


@dataclass(frozen=True)
class TrainingSet:
    """Data a model was trained on.

    Attributes:
        name: Of the set.
        utterances: Number of them; None if the set is not here.
        speakers: Number of them.
        hours: Of audio.
    """

    name: str
    utterances: int | None = None
    speakers: int | None = None
    hours: float | None = None

    def row(self) -> tuple:
        """Cells of the table."""
        hours = None if self.hours is None else f"{self.hours:.2f}"
        cells = (self.utterances, self.speakers, hours)
        return (self.name, *("unknown" if cell is None else cell for cell in cells))


@dataclass(frozen=True)
class Part:
    """A trained network of the package.

    Attributes:
        name: What it is.
        kind: Class that its configuration chose, or its model class.
        parameters: Trained numbers in the checkpoint.
        megabytes: Of the checkpoint, without frozen parts.
    """

    name: str
    kind: str
    parameters: int
    megabytes: float

    def row(self) -> tuple:
        """Cells of the table."""
        size = f"{self.parameters / 1e6:.2f} M"
        return self.name, self.kind, size, f"{self.megabytes:.1f} MB"


@dataclass(frozen=True)
class CardFacts:
    """All that a card says.

    Attributes:
        title: First heading.
        loader: Class that loads the package.
        languages: ISO 639 codes.
        license: SPDX identifier of the weights, lower case, as the hub wants it.
        sets: Training data.
        parts: Trained networks.
        frozen: Public or given models inside: option -> value.
        settings: Options worth knowing: name -> value.
        results: Markdown of RESULTS.md, empty if there is none.
    """

    title: str
    loader: str
    languages: Sequence[str]
    license: str
    sets: Sequence[TrainingSet]
    parts: Sequence[Part]
    frozen: Mapping[str, str]
    settings: Mapping[str, object]
    results: str


def training_sets(config: Mapping) -> list[TrainingSet]:
    """Sets that the configuration of an experiment names, counted where they are here.

    Args:
        config: Options of the training.

    Returns:
        Every set once.
    """
    folders = []
    for path, *_ in config.get("train_data_path_and_name_and_type") or []:
        if Path(path).parent not in folders and Path(path).name == "wav.scp":
            folders.append(Path(path).parent)
    return [count_set(folder) for folder in folders]


def count_set(folder: Path) -> TrainingSet:
    """Count utterances, speakers and hours of a formatted set (stage 2).

    Args:
        folder: With ``utt2spk`` and ``utt2num_samples``.

    Returns:
        What is known.
    """
    from espnet2_taste.data.audio import read_header

    found: dict = {}
    if (folder / "utt2spk").is_file():
        speakers = read_table(folder / "utt2spk")
        found |= {"utterances": len(speakers), "speakers": len(set(speakers.values()))}
    if (folder / "utt2num_samples").is_file() and (folder / "wav.scp").is_file():
        wav = next(iter(read_table(folder / "wav.scp").values()))
        if Path(file_of(wav)).is_file():
            samples = map(int, read_table(folder / "utt2num_samples").values())
            found["hours"] = sum(samples) / read_header(wav).samplerate / 3600
    return TrainingSet(folder.name, **found)


def count_part(name: str, kind: str, weights: Path) -> Part:
    """Count the numbers in a checkpoint.

    Args:
        name: What it is.
        kind: Its class.
        weights: A state dict.

    Returns:
        The part.
    """
    state = load_weights(weights)
    size = weights.stat().st_size / 1e6
    return Part(name, kind, sum(t.numel() for t in state.values()), size)


def model_card(facts: CardFacts) -> str:
    """Write the card.

    Args:
        facts: What it says.

    Returns:
        Markdown with the hub's metadata.
    """
    results = facts.results.strip() or "RESULTS.md was not there when this was packed."
    sections = [
        _metadata(facts),
        f"# {facts.title}",
        _usage(facts),
        "## Intended use\n\nResearch on speech tokens and spoken language models. It "
        "is no product: check it on your own speech before you rely on it.",
        "## Training data\n\n"
        + markdown_table(
            ("set", "utterances", "speakers", "hours"), [s.row() for s in facts.sets]
        ),
        f"Languages: {', '.join(facts.languages)}.",
        "## Sizes\n\n"
        + markdown_table(
            ("part", "kind", "trained parameters", "checkpoint"),
            [part.row() for part in facts.parts],
        ),
        _list("Frozen parts", facts.frozen),
        _list("Settings", facts.settings),
        "## Results\n\n" + _demoted(results),
        "## Limits\n" + LIMITS,
        f"## Licence\n\nWeights: {facts.license}. Code: Apache-2.0 (LICENSE).",
        f"## Citation\n\n```bibtex\n{CITATION}\n```",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _metadata(facts: CardFacts) -> str:
    import yaml

    content = {
        "tags": ["espnet", "audio", "speech-tokenization", "taste"],
        "language": list(facts.languages),
        "license": facts.license,
    }
    return f"---\n{yaml.safe_dump(content, sort_keys=False)}---"


def _usage(facts: CardFacts) -> str:
    return (
        "Text-aligned speech tokens ([arXiv 2504.07053]"
        "(https://arxiv.org/abs/2504.07053)) with `espnet2_taste`:\n\n```python\n"
        f"from espnet2_taste.inference import {facts.loader}\n\n"
        f'model = {facts.loader}.from_pretrained("this repository or archive")\n```'
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
