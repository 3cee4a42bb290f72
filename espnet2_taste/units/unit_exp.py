"""The unit directory of a recipe (``exp/units``): how units and embeddings are made.

Enters and leaves: a folder with ``config.yaml`` (choices, options, sizes, rate),
``kmeans.pt`` and ``spembs.pt`` (what was learned from the training set). An absent
``config.yaml`` means the folder is not finished; it is written last.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import yaml
from espnet2.train.class_choices import ClassChoices

from espnet2_taste import experiment_files
from espnet2_taste.data.arks import write_ark, write_numbers
from espnet2_taste.data.files import whole_file
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.experiment_files import config_of
from espnet2_taste.units.abs_unit_extractor import AbsUnitExtractor
from espnet2_taste.units.batches import speech_batches
from espnet2_taste.units.campplus import CampplusEmbedder
from espnet2_taste.units.espnet_codec import EspnetCodecUnits
from espnet2_taste.units.fitted import AbsFitted
from espnet2_taste.units.kmeans import KmeansUnits
from espnet2_taste.units.resemblyzer import ResemblyzerEmbedder
from espnet2_taste.units.s3 import S3Units
from espnet2_taste.units.speaker import AbsSpeakerEmbedder, MelStatistics

unit_extractor_choices = ClassChoices(
    name="unit_extractor",
    classes={
        "kmeans": KmeansUnits,
        "s3": S3Units,
        "espnet_codec": EspnetCodecUnits,
    },
    type_check=AbsUnitExtractor,
    default="kmeans",
)
speaker_embedder_choices = ClassChoices(
    name="speaker_embedder",
    classes={
        "mel_statistics": MelStatistics,
        "campplus": CampplusEmbedder,
        "resemblyzer": ResemblyzerEmbedder,
    },
    type_check=AbsSpeakerEmbedder,
    default="mel_statistics",
)
CONFIG, UNITS, SPEMBS = "config.yaml", "kmeans.pt", "spembs.pt"


def read_config(units_dir: str | Path) -> dict:
    """Read ``config.yaml``, given the directory or the file itself.

    Raises:
        ValueError: The directory is not finished.
    """
    path = config_of(units_dir)
    if not path.is_file():
        raise ValueError(f"{path} not found: run units fit (stage 5) first")
    return experiment_files.read_config(path)


def write_units_dir(
    units_dir: str | Path,
    config: Mapping,
    extractor: AbsUnitExtractor,
    embedder: AbsSpeakerEmbedder,
) -> None:
    """Write what was fitted, ``config.yaml`` last.

    Args:
        units_dir: The folder; made when absent.
        config: Choices and their options.
        extractor: Fitted.
        embedder: Fitted.
    """
    folder = Path(units_dir)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(extractor.fitted_state(), folder / UNITS)
    torch.save(embedder.fitted_state(), folder / SPEMBS)
    sizes = {
        "num_units": extractor.num_units,
        "unit_rate": float(extractor.unit_rate),
        "spembs_size": embedder.size,
    }
    with whole_file(folder / CONFIG) as part:
        part.write_text(yaml.safe_dump({**config, **sizes}), encoding="utf-8")


def build_unit_extractor(config: Mapping) -> AbsUnitExtractor:
    """Extractor that ``config`` names, not fitted."""
    return _built(unit_extractor_choices, config)


def build_speaker_embedder(config: Mapping) -> AbsSpeakerEmbedder:
    """Embedder that ``config`` names, not fitted."""
    return _built(speaker_embedder_choices, config)


def _built(choices: ClassChoices, config: Mapping) -> AbsFitted:
    class_ = choices.get_class(config[choices.name])
    return class_(**config[f"{choices.name}_conf"]).eval()


def load_unit_extractor(units_dir: str | Path) -> AbsUnitExtractor:
    """Fitted extractor of a unit directory."""
    return _loaded(unit_extractor_choices, units_dir, UNITS)


def load_speaker_embedder(units_dir: str | Path) -> AbsSpeakerEmbedder:
    """Fitted embedder of a unit directory."""
    return _loaded(speaker_embedder_choices, units_dir, SPEMBS)


def _loaded(choices: ClassChoices, units_dir: str | Path, name: str) -> AbsFitted:
    network = _built(choices, read_config(units_dir))
    path = config_of(units_dir).parent / name
    if not path.is_file():
        raise ValueError(f"{path} not found: run units fit (stage 5) again")
    network.load_fitted_state(experiment_files.load_weights(path))
    return network


def extract_set(extractor, embedder, folder: Path, batch_size: int, device: str):
    """Write units and embeddings of one set.

    Args:
        extractor: ``AbsUnitExtractor``.
        embedder: ``AbsSpeakerEmbedder`` for the same sample rate.
        folder: The set.
        batch_size: Utterances at once.
        device: Where the networks are.

    Returns:
        Number of utterances.

    Raises:
        ValueError: Audio cannot be read, or the two want different sample rates.
    """
    if extractor.sample_rate != embedder.sample_rate:
        raise ValueError(
            f"the units want {extractor.sample_rate} Hz, the speaker embeddings "
            f"{embedder.sample_rate} Hz; set sample_rate in speaker_embedder_conf"
        )
    wavs = read_table(folder / "wav.scp")
    rows, vectors = {}, {}
    with torch.no_grad():
        for batch in speech_batches(
            wavs, extractor.sample_rate, batch_size, folder.name, device
        ):
            units, lengths = run_named(extractor, batch)
            spembs = run_named(embedder, batch).cpu().numpy()
            for row, name in enumerate(batch.names):
                kept = units[row, : int(lengths[row])].tolist()
                rows[name] = " ".join(map(str, kept))
                vectors[name] = spembs[row]
    write_ark(folder, "spembs", vectors)
    write_numbers(folder, "units", rows, np.int32)
    return len(rows)


def run_named(network, batch):
    """Run a network so that its errors name the utterance.

    Args:
        network: ``AbsUnitExtractor`` or ``AbsSpeakerEmbedder``.
        batch: ``SpeechBatch``.

    Returns:
        What the network makes of the batch.

    Raises:
        ValueError: An utterance cannot be used, e.g. is longer than the network takes.
    """
    try:
        return network(batch.speech, batch.lengths)
    except ValueError as error:
        if len(batch.names) == 1:
            raise ValueError(f"utterance {batch.names[0]}: {error}") from error
        for single in batch.singles():
            run_named(network, single)
        raise
