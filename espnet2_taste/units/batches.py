"""Utterances of ``wav.scp`` in padded batches of similar length.

Enters: audio paths by utterance. Leaves: ``SpeechBatch``es, and an order that depends
on the lengths only, so every run makes the same batches.

Legend: B utterances, S samples.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from espnet2_taste.data.audio import load_speech, read_header


@dataclass(frozen=True)
class SpeechBatch:
    """Some utterances of a set.

    Attributes:
        names: Utterance ids, B of them.
        speech: Samples, zeros at padding, (B, S) float32.
        lengths: Valid samples, (B,) int64.
    """

    names: list[str]
    speech: torch.Tensor
    lengths: torch.Tensor

    @classmethod
    def from_arrays(cls, waves: Mapping[str, np.ndarray]) -> "SpeechBatch":
        """Pad waves (S,) to one batch."""
        tensors = [torch.from_numpy(wave) for wave in waves.values()]
        lengths = torch.tensor([len(wave) for wave in tensors])
        speech = torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)
        return cls(list(waves), speech, lengths)

    def singles(self) -> Iterator["SpeechBatch"]:
        """Each utterance as a batch of its own, without padding."""
        for row, name in enumerate(self.names):
            length = self.lengths[row : row + 1]
            yield SpeechBatch([name], self.speech[row : row + 1, : int(length)], length)

    def to(self, device: str) -> "SpeechBatch":
        """The same batch on another device."""
        return SpeechBatch(self.names, self.speech.to(device), self.lengths.to(device))


def padded_units(rows: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Units of single utterances as a batch.

    Args:
        rows: Units (U,) of each utterance.

    Returns:
        Units (B, U) int64, -1 at padding, and their lengths (B,).
    """
    lengths = torch.tensor([len(row) for row in rows])
    return (
        torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1),
        lengths,
    )


def speech_batches(
    wavs: Mapping[str, str],
    sample_rate: int,
    batch_size: int = 16,
    label: str = "speech",
    device: str = "cpu",
) -> Iterator[SpeechBatch]:
    """Read a set, longest utterances first.

    Args:
        wavs: Audio path of each utterance.
        sample_rate: Samples a second wanted.
        batch_size: Utterances at once.
        label: What the progress bar is called.
        device: Where the batches are wanted.

    Yields:
        Batches that hold every utterance once.

    Raises:
        ValueError: An audio file cannot be used; the message names the utterance.
    """
    from tqdm import tqdm

    sizes = {name: _frames(name, path) for name, path in wavs.items()}
    order = sorted(wavs, key=lambda name: (-sizes[name], name))
    with tqdm(total=len(order), desc=label) as progress:
        for start in range(0, len(order), batch_size):
            names = order[start : start + batch_size]
            waves = {name: _load(name, wavs[name], sample_rate) for name in names}
            yield SpeechBatch.from_arrays(waves).to(device)
            progress.update(len(names))


def _frames(name: str, path: str) -> int:
    try:
        return read_header(path).frames
    except ValueError as error:
        raise ValueError(f"utterance {name}: {error}; run stage 2 again") from error


def _load(name: str, path: str, sample_rate: int) -> np.ndarray:
    try:
        return load_speech(path, sample_rate, keep_silence=True)
    except ValueError as error:
        raise ValueError(f"utterance {name}: {error}; run stage 2 again") from error
