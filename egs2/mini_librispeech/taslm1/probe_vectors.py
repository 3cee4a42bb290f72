"""In how many directions do the vectors differ that a unit decoder reads?

Enters: an experiment of TASTE, a set. Leaves, printed: the share of the variance of the
token vectors in the largest 1, 2, 4, ... directions, and how far from zero they lie.

Example:
    python probe_vectors.py exp/taste_no_vq dump/raw/dev
"""

import argparse
from itertools import islice
from pathlib import Path

import torch
from torch.nn import functional

from espnet2_taste.data.audio import load_speech
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.inference.taste_encoder import TasteEncoder
from espnet2_taste.units.batches import SpeechBatch


def get_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("taste_exp", type=Path)
    parser.add_argument("folder", type=Path, help="Set with wav.scp and text")
    parser.add_argument("--utterances", type=int, default=8)
    return parser


def main(cmd: list[str] | None = None) -> None:
    """Print the shares."""
    args = get_parser().parse_args(cmd)
    encoder = TasteEncoder.from_exp(args.taste_exp)
    texts, rows = read_table(args.folder / "text"), []
    for name, wav in islice(
        read_table(args.folder / "wav.scp").items(), args.utterances
    ):
        batch = SpeechBatch.from_arrays({name: load_speech(wav, encoder.sample_rate)})
        rows.append(encoder.vectors(batch, [texts[name]])[1][0])
    vectors = torch.cat(rows)  # (N, D)
    mean = vectors.mean(0)
    print(
        f"mean {mean.norm():.0f}, deviation {(vectors - mean).norm(dim=1).mean():.0f}"
    )
    read = functional.layer_norm(vectors, vectors.shape[-1:])
    variance = torch.linalg.svdvals(read - read.mean(0)).square()
    for count in (1, 2, 4, 8, 16, 32):
        print(f"{count} directions: {variance[:count].sum() / variance.sum():.3f}")


if __name__ == "__main__":
    main()
