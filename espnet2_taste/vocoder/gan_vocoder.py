"""Unit vocoders that are trained against a discriminator.

Legend: B utterances, U units, D speaker embedding size, S samples.
``ESPnetGanUnitVocoderModel`` calls both losses in turn for ESPnet's GAN trainer.
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch

from espnet2_taste.vocoder.abs_vocoder import AbsUnitVocoder


@dataclass(frozen=True)
class UnitsWithSpeech:
    """A training batch.

    Attributes:
        units: (B, U), -1 at padding.
        units_lengths: (B,).
        spembs: (B, D).
        speech: At the vocoder's rate, (B, S).
        speech_lengths: (B,).
    """

    units: torch.Tensor
    units_lengths: torch.Tensor
    spembs: torch.Tensor
    speech: torch.Tensor
    speech_lengths: torch.Tensor


class AbsGanUnitVocoder(AbsUnitVocoder):
    """A unit vocoder with a generator and a discriminator.

    Attributes:
        generator: Its parameters are trained by the first optimizer (``--optim``).
        discriminator: By the second (``--optim2``).
    """

    generator: torch.nn.Module
    discriminator: torch.nn.Module

    @abstractmethod
    def generator_loss(
        self, batch: UnitsWithSpeech
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of the generator, scalar, and its parts."""

    @abstractmethod
    def discriminator_loss(
        self, batch: UnitsWithSpeech
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of the discriminator, scalar, and its parts."""

    def forward(self, units, units_lengths, spembs, speech, speech_lengths, pitch):
        """Loss of the generator; see ``AbsUnitVocoder.forward``."""
        return self.generator_loss(
            UnitsWithSpeech(units, units_lengths, spembs, speech, speech_lengths)
        )
