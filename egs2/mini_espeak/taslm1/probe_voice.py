"""Do units and encoder states of a trained recipe tell the voice?

Enters: the encoder of ``exp/asr`` and the sets ``train`` and ``dev``. Leaves, printed
for each encoder block: how often a ridge classifier names the speaker of a dev
utterance from the mean of its states, and from the histogram of 200 k-means units.

Example:
    python probe_voice.py --recognizer exp/asr --dump_dir dump/raw
"""

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.data.audio import read_audio
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.recognizers.choices import load_recognizer

NUM_UNITS = 200


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recognizer", default="exp/asr")
    parser.add_argument("--dump_dir", type=Path, default=Path("dump/raw"))
    parser.add_argument("--blocks", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--utterances", type=int, default=240, help="of train")
    return parser


def read_set(folder: Path, most: int) -> tuple[list[str], list[torch.Tensor]]:
    """Speakers and samples of utterances drawn at random."""
    wavs, speakers = read_table(folder / "wav.scp"), read_table(folder / "utt2spk")
    names = sorted(wavs)
    random.Random(0).shuffle(names)
    names = names[:most]
    speech = [read_audio(wavs[name])[0] for name in names]
    return [speakers[name] for name in names], [torch.from_numpy(x) for x in speech]


@torch.no_grad()
def states(encoder, speech: list[torch.Tensor]) -> Iterator[torch.Tensor]:
    """States of a block, (F, D) of each utterance."""
    for start in range(0, len(speech), 16):
        batch = speech[start : start + 16]
        lengths = torch.tensor([len(x) for x in batch])
        result = encoder(pad_sequence(batch, batch_first=True), lengths)
        for values, length in zip(result.values, result.lengths):
            yield values[:length]


def centroids(frames: torch.Tensor, iterations: int = 8) -> torch.Tensor:
    """Lloyd's k-means, (NUM_UNITS, D)."""
    generator = torch.Generator().manual_seed(0)
    centres = frames[torch.randperm(len(frames), generator=generator)[:NUM_UNITS]]
    for _ in range(iterations):
        nearest = torch.cdist(frames, centres).argmin(1)
        centres = torch.stack(
            [
                frames[nearest == unit].mean(0) if (nearest == unit).any() else centre
                for unit, centre in enumerate(centres)
            ]
        )
    return centres


def histogram(frames: torch.Tensor, centres: torch.Tensor) -> np.ndarray:
    """Share of each unit, (NUM_UNITS,)."""
    units = torch.cdist(frames, centres).argmin(1).numpy()
    return np.bincount(units, minlength=NUM_UNITS) / len(units)


def accuracy(train: np.ndarray, dev: np.ndarray, names: list, truth: list) -> float:
    """Of a ridge classifier; features (n, D) of both sets."""
    speakers = sorted(set(names))
    targets = np.eye(len(speakers))[[speakers.index(name) for name in names]]
    x, y = (np.column_stack([part, np.ones(len(part))]) for part in (train, dev))
    weights = np.linalg.solve(x.T @ x + 0.01 * np.eye(x.shape[1]), x.T @ targets)
    guesses = (y @ weights).argmax(1)
    return float(np.mean([speakers[g] == name for g, name in zip(guesses, truth)]))


def main(cmd: list[str] | None = None) -> None:
    """Print a line a block."""
    args = get_parser().parse_args(cmd)
    names, train = read_set(args.dump_dir / "train", args.utterances)
    truth, dev = read_set(args.dump_dir / "dev", args.utterances)
    for block in args.blocks:
        encoder = load_recognizer(args.recognizer).frame_encoder(block)
        first, second = list(states(encoder, train)), list(states(encoder, dev))
        centres = centroids(torch.cat(first))
        means = (
            np.stack([x.mean(0).numpy() for x in part]) for part in (first, second)
        )
        units = (
            np.stack([histogram(x, centres) for x in part]) for part in (first, second)
        )
        by_mean = accuracy(*means, names, truth)
        by_units = accuracy(*units, names, truth)
        print(f"block {block}: speaker from states {by_mean:.3f}, units {by_units:.3f}")


if __name__ == "__main__":
    main()
