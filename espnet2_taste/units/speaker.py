"""Speaker embeddings.

Enters: waveforms (B, S). Leaves: one vector of length one for each utterance (B, D).
Legend: B utterances, S samples, F frames, M mel bands, D embedding size.
"""

from abc import abstractmethod
from collections.abc import Iterable

import torch
from torch.nn import functional

from espnet2_taste.data.log_mel import LogMel
from espnet2_taste.masks import length_mask
from espnet2_taste.units.batches import SpeechBatch
from espnet2_taste.units.fitted import AbsFitted


class AbsSpeakerEmbedder(AbsFitted):
    """Speech to a speaker embedding.

    Attributes:
        size: D.
    """

    size: int

    @abstractmethod
    def forward(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> torch.Tensor:
        """Embeddings of a batch.

        Args:
            speech: (B, S).
            speech_lengths: Valid samples, (B,).

        Returns:
            (B, D), each of length one.
        """

    def fit(self, batches: Iterable[SpeechBatch]) -> None:
        """Learn from training speech; a trained speaker model learns nothing."""


class MelStatistics(AbsSpeakerEmbedder):
    """Average spectrum of the loud frames against that of the training set.

    The level of the recording is taken out first, so only the shape of the spectrum
    counts. Needs no trained model: voices and their pitch range show in the shape.

    Args:
        n_mels: M, which is also the size D.
        sample_rate: Samples a second.
    """

    fitted = ("mean", "deviation")

    def __init__(self, n_mels: int = 80, sample_rate: int = 16000):
        super().__init__()
        self.size = n_mels
        self.sample_rate = sample_rate
        self.log_mel = LogMel(sample_rate=sample_rate, n_mels=n_mels)
        self.register_buffer("mean", torch.zeros(n_mels))
        self.register_buffer("deviation", torch.ones(n_mels))

    @torch.no_grad()
    def forward(self, speech, speech_lengths):
        """See ``AbsSpeakerEmbedder.forward``."""
        shape = self.spectral_shape(speech, speech_lengths)
        return functional.normalize((shape - self.mean) / self.deviation, dim=-1)

    def spectral_shape(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> torch.Tensor:
        """Mean log-mel of the frames at or above the average level, level removed.

        Args:
            speech: (B, S).
            speech_lengths: Valid samples, (B,).

        Returns:
            (B, M), each row of mean zero.
        """
        mel, lengths = self.log_mel(speech, speech_lengths)  # (B, F, M)
        valid = length_mask(lengths, mel.size(1))  # (B, F)
        level = mel.mean(-1)  # (B, F)
        average = (level * valid).sum(1, keepdim=True) / lengths.unsqueeze(1)
        loud = (valid & (level >= average)).unsqueeze(-1)  # (B, F, 1)
        mean = (mel * loud).sum(1) / loud.sum(1).clamp(min=1)
        return mean - mean.mean(-1, keepdim=True)

    @torch.no_grad()
    def fit(self, batches: Iterable[SpeechBatch]) -> None:
        """See ``AbsSpeakerEmbedder.fit``."""
        shapes = [self.spectral_shape(b.speech, b.lengths) for b in batches]
        shape = torch.cat(shapes)  # (utterances, M)
        self.mean = shape.mean(0)
        self.deviation = shape.std(0, unbiased=False).clamp(min=1e-3)
