"""Unit accuracy of a TASTE experiment on a held-out set.

Enters: an experiment directory and a set with audio, text, units and speaker
embeddings. Leaves: teacher-forced hits, everywhere and at changes. The topline is the
recipe's own renderer: units of audio that was made from the true units, against them.

Legend: B utterances, N tokens, U units, K classes.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch

from espnet2_taste.metrics.units import UnitCounts, count_unit_hits


def iterate_set(folder: Path, preprocessor, batch_size: int):
    """Batches of a set as in training, in the order of the set.

    Args:
        folder: Set with wav.scp, text, units and spembs.scp.
        preprocessor: Text side of the experiment.
        batch_size: Utterances a batch.

    Returns:
        Iterator over names and batches.
    """
    from espnet2_taste.tasks.taste import TasteTask

    files = (
        ("wav.scp", "speech", "sound"),
        ("text", "text", "text"),
        ("units", "units", "text_int"),
        ("spembs.scp", "spembs", "kaldi_ark"),
    )
    return TasteTask.build_streaming_iterator(
        [(str(folder / name), key, kind) for name, key, kind in files],
        dtype="float32",
        batch_size=batch_size,
        num_workers=0,
        preprocess_fn=preprocessor,
        collate_fn=TasteTask.build_collate_fn(argparse.Namespace(), False),
    )


@torch.no_grad()
def count_taste_hits(
    taste_exp: Path, model_file: str, folder: Path, batch_size: int, device: str
) -> UnitCounts:
    """Teacher-forced unit hits of an experiment on a set.

    Args:
        taste_exp: Experiment directory.
        model_file: Name of the checkpoint in it.
        folder: The set.
        batch_size: Utterances a batch.
        device: Torch device.

    Returns:
        The counts over the set.
    """
    from espnet2.torch_utils.device_funcs import to_device

    from espnet2_taste.tokenizer.inference import load_taste_exp

    weights = taste_exp / model_file
    model, preprocessor = load_taste_exp(taste_exp, weights, device)
    counts = UnitCounts()
    for _, batch in iterate_set(folder, preprocessor, batch_size):
        batch = to_device(batch, device)
        text = batch["text"].clamp(min=0)
        words = (text, batch["text_lengths"])
        taste = None
        if model.use_taste:
            speech = (batch["speech"], batch["speech_lengths"])
            taste = model.taste(*speech, *words, batch["word_ids"]).quantized
        units = (batch["units"], batch["units_lengths"])
        logits = model.unit_decoder(*words, taste, *units, batch["spembs"])
        counts += count_unit_hits(logits, *units)
    return counts


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
    from espnet2_taste.data.audio import load_speech
    from espnet2_taste.data.kaldi_dir import read_table
    from espnet2_taste.units.unit_exp import load_unit_extractor

    extractor, counts = load_unit_extractor(units_dir), UnitCounts()
    truth = read_table(units_file)
    for name, path in wavs.items():
        if name not in truth:
            raise ValueError(f"{units_file} lacks '{name}': run stage 5 again")
        target = torch.tensor([int(unit) for unit in truth[name].split()])
        speech = torch.from_numpy(load_speech(path, extractor.sample_rate))
        found, _ = extractor(speech[None], torch.tensor([len(speech)]))
        size = min(len(target), found.size(1))
        guesses = torch.nn.functional.one_hot(found[:, :size], extractor.num_units)
        counts += count_unit_hits(
            guesses.float(), target[None, :size], torch.tensor([size])
        )
    accuracies = counts.accuracies()
    return {name: accuracies[name] for name in ("acc", "acc_change")}
