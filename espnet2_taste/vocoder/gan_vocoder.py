"""Unit vocoders that are trained against a discriminator.

Legend: B utterances, U units, D speaker embedding size, S samples.
``ESPnetGanUnitVocoderModel`` calls both losses in turn for ESPnet's GAN trainer.
"""

from abc import abstractmethod

import torch

from espnet2_taste.vocoder.abs_vocoder import AbsUnitVocoder


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
        self,
        units: torch.Tensor,
        units_lengths: torch.Tensor,
        spembs: torch.Tensor,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of the generator, scalar, and its parts.

        Args:
            units: (B, U), -1 at padding.
            units_lengths: (B,).
            spembs: (B, D).
            speech: At the vocoder's rate, (B, S).
            speech_lengths: (B,).
        """

    @abstractmethod
    def discriminator_loss(self, units, units_lengths, spembs, speech, speech_lengths):
        """Loss of the discriminator, likewise."""

    def forward(self, *batch):
        """Loss of the generator; see ``AbsUnitVocoder.forward``, pitch is not used."""
        return self.generator_loss(*batch[:5])
