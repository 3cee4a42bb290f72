"""What every speech encoder offers: states for keys and values.

Enters: waveforms (B, S) at ``sample_rate``. Leaves: ``EncoderStates`` with keys
(B, F, D) and values (B, F, L * D) at ``frame_rate``. Legend: B utterances, S samples,
F frames, L layers of the values, D features.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from espnet2_taste.prosody import measure_frames
from espnet2_taste.structures import EncoderStates


class AbsSpeechEncoder(nn.Module, ABC):
    """A speech encoder, frozen unless it says otherwise (paper, section 3.1.1).

    A layer is named by the number of blocks passed: 0 is the input of the first
    block, ``num_layers`` the output of the last one before its final norm.

    Attributes:
        key_size: Features of the keys.
        value_size: Features of the values of one layer.
        frame_rate: Frames a second.
        sample_rate: Rate of the audio that enters, Hz.
        num_layers: Blocks of the encoder.
        value_layers: Layers the values are taken from, side by side.
        trainable: Whether training changes its weights.
        in_checkpoints: Whether checkpoints hold its weights. An encoder that has no
            files of its own to be rebuilt from needs that.
        adds_prosody: Whether measured pitch, voicing and loudness stand behind the
            values (``prosody.measure_frames``).
    """

    key_size: int
    value_size: int
    frame_rate: float
    sample_rate: int
    num_layers: int
    value_layers: tuple[int, ...]
    trainable: bool = False
    in_checkpoints: bool = False
    adds_prosody: bool = False

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

    def decoder_sizes(self) -> Mapping[str, int]:
        """Options of an aggregator that those weights fit; empty without a decoder."""
        return {}

    def token_list(self) -> list[str]:
        """Text tokens of that decoder in order; empty when unknown."""
        return []

    def forward(
        self, speech: torch.Tensor, speech_lengths: torch.Tensor
    ) -> EncoderStates:
        """Keys from the final output, values from the chosen layers.

        Args:
            speech: (B, S).
            speech_lengths: Valid samples, (B,).

        Returns:
            Keys (B, F, D), values (B, F, L * D), or 3 more where it adds prosody, with
            valid frames (B,).
        """
        with torch.set_grad_enabled(self.trainable and torch.is_grad_enabled()):
            states, keys, lengths = self.layer_states(
                speech, speech_lengths, self.value_layers
            )
        values = torch.cat(states, dim=-1)
        if self.adds_prosody:
            sizes = (self.sample_rate, values.size(1), self.frame_rate)
            prosody = measure_frames(speech, speech_lengths, *sizes)
            values = torch.cat([values, prosody.to(values)], dim=-1)
        return EncoderStates(keys=keys, values=values, lengths=lengths)

    def train(self, mode: bool = True):
        """A frozen encoder stays in evaluation mode whatever is asked."""
        return super().train(mode and self.trainable)

    def freeze(self):
        """Stop gradients of all parameters and leave training mode."""
        self.requires_grad_(False)
        self.eval()

    def choose_layers(self, value_layer: int | Sequence[int]) -> None:
        """Set where values come from.

        Args:
            value_layer: One layer, or several for a mix.

        Raises:
            ValueError: The encoder does not have such a layer, or none is named.
        """
        layers = (value_layer,) if isinstance(value_layer, int) else value_layer
        self.value_layers = tuple(layers)
        if not self.value_layers:
            raise ValueError(
                "speech_encoder_conf.value_layer names no layer: give a number or a "
                f"list of numbers in 0..{self.num_layers}"
            )
        for layer in self.value_layers:
            self.check_layer(layer)

    def check_layer(self, layer: int) -> None:
        """Refuse a layer the encoder does not have.

        Raises:
            ValueError: ``layer`` is outside 0..num_layers.
        """
        if not 0 <= layer <= self.num_layers:
            raise ValueError(
                f"layer {layer} asked of a speech encoder with {self.num_layers} "
                f"blocks: set speech_encoder_conf.value_layer to 0..{self.num_layers}"
            )


def check_frames(frames: torch.Tensor, speech_lengths: torch.Tensor) -> None:
    """Refuse utterances that give no frame.

    Args:
        frames: Encoder frames, (B,).
        speech_lengths: Samples, (B,).

    Raises:
        ValueError: An utterance is too short; its place in the batch is named.
    """
    index = int(frames.argmin())
    if int(frames[index]) < 1:
        raise ValueError(
            f"utterance {index} of the batch has {int(speech_lengths[index])} "
            "samples, too few for the speech encoder: drop it (data format "
            "--min_duration)"
        )


class LayerTap:
    """Reads the states between the blocks of a network during one forward pass.

    Args:
        blocks: Modules whose first argument and (first) result are states (B, F, D),
            or a tuple that begins with them.
        layers: Numbers of blocks passed.

    Example:
        >>> blocks = [torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)]
        >>> with LayerTap(blocks, [0]) as tap:
        ...     _ = blocks[1](blocks[0](torch.ones(1, 1, 2)))
        >>> tap.states[0].tolist()
        [[[1.0, 1.0]]]
    """

    def __init__(self, blocks: Sequence[nn.Module], layers: Sequence[int]):
        self.blocks = blocks
        self.layers = sorted(set(layers))
        self.states: dict[int, torch.Tensor] = {}
        self._hooks: list = []

    def __enter__(self) -> "LayerTap":
        self._hooks = [self._hook(layer) for layer in self.layers]
        return self

    def __exit__(self, *error) -> None:
        for hook in self._hooks:
            hook.remove()

    def _hook(self, layer: int):
        def keep(states):
            while isinstance(states, tuple):
                states = states[0]
            self.states[layer] = states

        if layer < len(self.blocks):
            return self.blocks[layer].register_forward_pre_hook(
                lambda module, args: keep(args)
            )
        return self.blocks[-1].register_forward_hook(
            lambda module, args, output: keep(output)
        )
