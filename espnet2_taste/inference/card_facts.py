"""What the card of a packed model says, read from its experiments.

Enters: the directories that ``bin/pack.py`` packs. Leaves: ``CardFacts``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet2_taste.data.files import read_yaml
from espnet2_taste.inference.model_card import CardFacts, count_part, training_sets

TASTE_SETTINGS = (
    "speech_encoder",
    "states_source",
    "word_timer",
    "aggregator",
    "quantizer",
    "quantizer_conf",
    "model_conf",
)
TASLM_SETTINGS = ("layout", "layout_conf", "input_fusion", "head", "model_conf")
UNIT_LM_SETTINGS = ("layout", "layout_conf", "grid_head", "tail_head", "model_conf")
FROZEN = ("asr_exp", "model", "init_lm", "codec_exp", "onnx_file")


@dataclass(frozen=True)
class PackedExperiment:
    """One trained network of a package.

    Attributes:
        name: What it is.
        choice: Option that says which class it is.
        config: Its ``config.yaml``.
        weights: Its checkpoint.
        settings: Options that the card lists.
    """

    name: str
    choice: str
    config: Path
    weights: Path
    settings: Sequence[str] = ()


def collect_facts(
    experiments: Sequence[PackedExperiment],
    loader: str,
    languages: Sequence[str],
    license: str,
    results: str,
) -> CardFacts:
    """Read what a card says.

    Args:
        experiments: The networks; the first one names the package.
        loader: Class that loads the package.
        languages: ISO 639 codes.
        license: SPDX identifier of the weights.
        results: Content of RESULTS.md, empty if there is none.

    Returns:
        The facts.
    """
    parts, frozen, settings = [], {}, {}
    configs = [read_yaml(item.config) for item in experiments]
    for item, config in zip(experiments, configs):
        kind = str(config.get(item.choice) or "default")
        parts.append(count_part(item.name, kind, item.weights))
        frozen |= {f"{item.name}, {k}": v for k, v in _frozen(config).items()}
        chosen = {name: config[name] for name in item.settings if config.get(name)}
        settings |= {f"{item.name}, {name}": value for name, value in chosen.items()}
    sets = [each for config in configs for each in training_sets(config)]
    return CardFacts(
        title=f"{loader} of {experiments[0].config.parent.name}",
        loader=loader,
        languages=languages,
        license=license,
        sets=list({each.name: each for each in sets}.values()),
        parts=parts,
        frozen=frozen,
        settings=settings,
        results=results,
    )


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
