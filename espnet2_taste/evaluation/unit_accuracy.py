"""Unit accuracy of a TASTE experiment on a held-out set.

Enters: an experiment directory and a set with audio, text, units and speaker
embeddings. Leaves: teacher-forced hits, everywhere and at changes. The topline is the
recipe's own renderer: units of audio that was made from the true units, against them.

Legend: B utterances, N tokens, U units, K classes.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from espnet2_taste.align.refined_sets import FIRST
from espnet2_taste.data.audio import load_speech
from espnet2_taste.data.ctm import read_times
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.experiment_files import CONFIG, read_config
from espnet2_taste.inference.resynthesis import (
    look_up,
    look_up_speakers,
    padded_times,
    read_spembs,
)
from espnet2_taste.inference.taste_encoder import TasteEncoder
from espnet2_taste.metrics.units import count_unit_hits, unit_accuracies
from espnet2_taste.speech_decoder.abs_unit_decoder import UnitInputs
from espnet2_taste.units.batches import padded_units, speech_batches


@torch.no_grad()
def taste_accuracies(
    taste_exp: Path, model_file: str, folder: Path, batch_size: int, device: str
) -> dict[str, float]:
    """Teacher-forced unit accuracy of an experiment on a set.

    Args:
        taste_exp: Experiment directory.
        model_file: Name of the checkpoint in it.
        folder: Set with wav.scp, text, units and spembs.scp.
        batch_size: Utterances a batch.
        device: Torch device.

    Returns:
        Rates of ``unit_accuracies`` over the set.

    Raises:
        ValueError: A table lacks an utterance of wav.scp, or the set has no times of
            the kind that the experiment was trained with.
    """
    encoder = TasteEncoder.from_exp(taste_exp, taste_exp / model_file, device)
    wavs, spembs = read_table(folder / "wav.scp"), read_spembs(folder)
    texts, units = read_table(folder / "text"), read_table(folder / "units")
    times = read_training_times(taste_exp, folder)
    counts = Counter()
    for batch in speech_batches(wavs, encoder.sample_rate, batch_size, device=device):
        names = batch.names
        ids, taste = encoder.vectors(batch, look_up(texts, names, folder / "text"))
        rows = look_up(units, names, folder / "units")
        target, lengths = padded_units([unit_ids(row) for row in rows])
        target, lengths = target.to(device), lengths.to(device)
        vectors = look_up_speakers(spembs, names, folder / "spembs.scp")
        inputs = UnitInputs(
            text=ids.text,
            text_lengths=ids.lengths,
            word_ids=ids.word_ids,
            taste=taste,
            spembs=vectors.to(device),
            word_times=padded_times(times, names, device),
        )
        logits = encoder.model.unit_decoder.score(inputs, target, lengths).logits
        counts += count_unit_hits(logits, target, lengths)
    return unit_accuracies(counts)


def read_training_times(taste_exp: Path, folder: Path) -> dict[str, np.ndarray] | None:
    """Word times of a set, of the kind that an experiment was trained with.

    Args:
        taste_exp: Experiment directory.
        folder: The set.

    Returns:
        By utterance id, (W, 2); without a record of the training those of the aligner,
        None if there are none.

    Raises:
        ValueError: The set has no such times.
    """
    data = read_config(taste_exp / CONFIG).get("train_data_path_and_name_and_type")
    for path, name, _ in data or []:
        file = Path(path).stem
        if name != "word_times":
            continue
        if not (folder / file).is_file():
            raise ValueError(
                f"{folder / file} not found, and {taste_exp} was trained with such "
                "times: run stage 4 for this set"
            )
        return read_times(folder / file)
    return read_times(folder / FIRST) if (folder / FIRST).is_file() else None


def unit_ids(row: str) -> torch.Tensor:
    """Units (U,) of a line of the file ``units``."""
    return torch.tensor([int(unit) for unit in row.split()])


@torch.no_grad()
def round_trip_accuracies(
    units_dir: Path, wavs: Mapping[str, str], units_file: Path
) -> dict[str, float]:
    """Accuracy of units extracted from audio that was made from the true units.

    Args:
        units_dir: Unit directory of the recipe.
        wavs: Audio made from units.
        units_file: The true units.

    Returns:
        ``acc`` and ``acc_change`` over the common length of each utterance; there is
        only one guess a unit, hence no top-5.

    Raises:
        ValueError: An utterance has audio but no units.
    """
    from espnet2_taste.units.unit_exp import load_unit_extractor

    extractor, counts = load_unit_extractor(units_dir), Counter()
    truth = read_table(units_file)
    for name, path in wavs.items():
        if name not in truth:
            raise ValueError(f"{units_file} lacks '{name}': run stage 5 again")
        target = unit_ids(truth[name])
        wave = load_speech(path, extractor.sample_rate, keep_silence=True)
        speech = torch.from_numpy(wave)
        found, _ = extractor(speech[None], torch.tensor([len(speech)]))
        size = min(len(target), found.size(1))
        guesses = torch.nn.functional.one_hot(found[:, :size], extractor.num_units)
        counts += count_unit_hits(
            guesses.float(), target[None, :size], torch.tensor([size])
        )
    accuracies = unit_accuracies(counts)
    return {name: accuracies[name] for name in ("acc", "acc_change")}
