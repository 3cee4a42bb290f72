"""Speaker embeddings of Resemblyzer: an LSTM trained with the GE2E loss (Wan, 2018).

Enters: waveforms (B, S) at 16 kHz. Leaves: one vector of length one and without
negative numbers for each utterance (B, D), D = 256: the mean over windows of 1.6 s. The
package takes long pauses out first; here they stay.

Legend: B utterances, S samples, F frames of 10 ms, M mel bands, P windows, D embedding
size.
"""

from pathlib import Path

import torch
import torchaudio
from torch import nn
from torch.nn import functional

from espnet2_taste.experiment_files import load_part, load_weights
from espnet2_taste.units.speaker import AbsSpeakerEmbedder

SAMPLE_RATE, HOP, NUM_MELS = 16000, 160, 40
WINDOW, STEP = 160, 77  # frames
LEAST_COVERAGE = 0.75  # of the last window
LEVEL = 10 ** (-30 / 20)  # quieter audio is made as loud as this


class ResemblyzerEmbedder(AbsSpeakerEmbedder):
    """The network of Resemblyzer; nothing is learned.

    Args:
        model: Folder with ``model.safetensors``, or that file: the tensors ``lstm.*``
            and ``linear.*``.
        hidden_size: Features of the LSTM.
        size: D.

    Raises:
        ValueError: The file is absent or holds another network.
    """

    def __init__(self, model: str, hidden_size: int = 256, size: int = 256):
        super().__init__()
        self.size = size
        self.sample_rate = SAMPLE_RATE
        self.mel = torchaudio.transforms.MelSpectrogram(
            SAMPLE_RATE,
            n_fft=400,
            hop_length=HOP,
            n_mels=NUM_MELS,
            pad_mode="constant",
            norm="slaney",
            mel_scale="slaney",
        )
        self.lstm = nn.LSTM(NUM_MELS, hidden_size, num_layers=3, batch_first=True)
        self.linear = nn.Linear(hidden_size, size)
        self._load(Path(model))

    def _load(self, path: Path) -> None:
        path = path / "model.safetensors" if path.is_dir() else path
        if not path.is_file():
            raise ValueError(
                f"speaker_embedder_conf model: no such file: '{path}'; give a folder "
                "with Resemblyzer's weights as model.safetensors"
            )
        try:
            state = load_weights(path)
            for name in ("lstm", "linear"):
                load_part(getattr(self, name), name, state)
        except RuntimeError as error:
            raise ValueError(f"{path}: not Resemblyzer's network ({error})") from error

    @torch.no_grad()
    def forward(self, speech, speech_lengths):
        """See ``AbsSpeakerEmbedder.forward``."""
        waves = (wave[:n] for wave, n in zip(speech, speech_lengths.tolist()))
        return torch.stack([self._embed(wave) for wave in waves])

    def _embed(self, wave: torch.Tensor) -> torch.Tensor:
        """One utterance, (S,) to (D,)."""
        level = wave.square().mean().sqrt().clamp(min=1e-8)
        wave = wave * (LEVEL / level).clamp(min=1.0)
        begins = window_begins(len(wave))
        wave = functional.pad(
            wave, (0, max(0, (begins[-1] + WINDOW) * HOP - len(wave)))
        )
        mel = self.mel(wave).T  # (F, M)
        windows = torch.stack([mel[begin : begin + WINDOW] for begin in begins])
        hidden = self.lstm(windows)[1][0][-1]  # (P, hidden)
        parts = functional.normalize(self.linear(hidden).relu(), dim=-1)
        return functional.normalize(parts.mean(0), dim=-1)


def window_begins(samples: int) -> list[int]:
    """First frame of each window of an utterance.

    Args:
        samples: S.

    Returns:
        Frames; the last window may reach beyond the end by a quarter.

    Example:
        >>> window_begins(16000), window_begins(48000)
        ([0], [0, 77, 154])
    """
    frames = samples // HOP + 1
    begins = list(range(0, max(1, frames - WINDOW + STEP + 1), STEP))
    covered = (samples - begins[-1] * HOP) / (WINDOW * HOP)
    return begins[:-1] if covered < LEAST_COVERAGE and len(begins) > 1 else begins
