"""What every speech encoder offers: frozen states for keys and values.

Enters: waveforms (B, S) at ``sample_rate``. Leaves: ``EncoderStates`` with keys and
values (B, F, D) at ``frame_rate``. Legend: B utterances, S samples, F frames, D
features.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from espnet2_taste.structures import EncoderStates


class AbsSpeechEncoder(nn.Module, ABC):
    """A frozen speech encoder (paper, section 3.1.1).

    A layer is named by the number of blocks passed: 0 is the input of the first
    block, ``num_layers`` the output of the last one before its final norm.

    Attributes:
        key_size: Features of the keys.
        value_size: Features of the values.
        frame_rate: Frames a second.
        sample_rate: Rate of the audio that enters, Hz.
        num_layers: Blocks of the encoder.
        value_layer: Layer the values are taken from.
    """

    key_size: int
    value_size: int
    frame_rate: float
    sample_rate: int
    num_layers: int
    value_layer: int

    @abstractmethod
    def layer_states(
        self,
        speech: torch.Tensor,
        speech_lengths: torch.Tensor,
        layers: Sequence[int],
    ) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        """Hidden states of chosen layers beside the encoder's final output.

        Args:
            speech: (B, S).
            speech_lengths: Valid samples, (B,).
            layers: Numbers of blocks passed.

        Returns:
            States of each layer in ``layers``, (B, F, D); the encoder's output after
            its final norm, (B, F, D); valid frames, (B,).
        """

    def decoder_state(self) -> Mapping[str, torch.Tensor]:
        """Weights of the text decoder trained with this encoder, for the aggregator.

        Returns:
            State dict in the aggregator's names; empty when there is no decoder.
        """
        return {}

    def token_list(self) -> list[str]:
        """Text tokens of that decoder in order; empty when unknown."""
        return []

    @torch.no_grad()
    def forward(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> EncoderStates:
        """Keys from the last layer, values from ``value_layer``.

        Args:
            speech: (B, S).
            speech_lengths: Valid samples, (B,).

        Returns:
            Keys and values (B, F, D) with valid frames (B,).
        """
        layers, final, lengths = self.layer_states(
            speech, speech_lengths, [self.value_layer]
        )
        return EncoderStates(keys=final, values=layers[0], lengths=lengths)

    def train(self, mode: bool = True):
        """A frozen encoder stays in evaluation mode whatever is asked."""
        return super().train(False)

    def freeze(self):
        """Stop gradients of all parameters and leave training mode."""
        self.requires_grad_(False)
        self.eval()

    def check_layer(self, layer: int):
        """Refuse a layer the encoder does not have.

        Raises:
            ValueError: ``layer`` is outside 0..num_layers.
        """
        if not 0 <= layer <= self.num_layers:
            raise ValueError(
                f"layer {layer} asked of a speech encoder with {self.num_layers} "
                f"blocks: set speech_encoder_conf.value_layer to 0..{self.num_layers}"
            )
