"""What the aggregator attends to: keys and values made from the encoder's states.

Enters: ``EncoderStates`` with values of L layers side by side. Leaves:
``EncoderStates`` for the cross-attention. Legend: B utterances, N text tokens, F
frames, L layers of the values, D features.

These modules belong to the aggregator: what they learn is saved with it, while the
frozen encoder's weights are not. The encoder states that a training keeps in memory
(``encoder_cache_mb``) are those that enter here, all L layers of them.
"""

from abc import ABC, abstractmethod
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional

from espnet2_taste.prosody import FEATURES
from espnet2_taste.structures import EncoderStates


class AbsStatesSource(nn.Module, ABC):
    """Maps the encoder's states to keys and values.

    Args:
        key_size: Features of the encoder's keys.
        value_size: Features of the encoder's values, of one layer.
        num_layers: Layers L of the values.

    Attributes:
        key_size: Features of the keys that leave.
        value_size: Features of the values that leave.
        needs_prosody: Whether the encoder is to measure prosody (``adds_prosody``).

    Raises:
        ValueError: The encoder gives other layers than are used here.
    """

    needs_prosody: bool = False

    def __init__(self, key_size: int, value_size: int, num_layers: int = 1):
        super().__init__()
        self.key_size = key_size
        self.value_size = value_size
        self.check_layers(num_layers)

    def check_layers(self, num_layers: int) -> None:
        """Refuse several layers, unless a subclass mixes them."""
        if num_layers != 1:
            raise ValueError(
                f"speech_encoder_conf.value_layer names {num_layers} layers, "
                f"{type(self).__name__} takes one: name one, or set states_source to "
                "mix or prosody"
            )

    @abstractmethod
    def forward(self, states: EncoderStates) -> EncoderStates:
        """Keys and values for the cross-attention.

        Args:
            states: Keys (B, F, D_key), values (B, F, L * D_value).

        Returns:
            Keys (B, F, ``key_size``), values (B, F, ``value_size``).
        """


class SeparateStates(AbsStatesSource):
    """Keys and values as they come: last layer and a shallow one (paper, 3.1.2)."""

    def forward(self, states: EncoderStates) -> EncoderStates:
        """See ``AbsStatesSource.forward``."""
        return states


class MixedStates(AbsStatesSource):
    """Values are a weighted mean of several layers; the weights are learned.

    Args:
        key_size: Features of the keys.
        value_size: Features of one layer.
        num_layers: Layers L.
        normalize: Bring the layers to one scale first (LayerNorm without parameters).
    """

    def __init__(
        self,
        key_size: int,
        value_size: int,
        num_layers: int = 1,
        normalize: bool = True,
    ):
        super().__init__(key_size, value_size, num_layers)
        self.normalize = normalize
        self.logits = nn.Parameter(torch.zeros(num_layers))

    def check_layers(self, num_layers: int) -> None:
        """A mix needs two layers."""
        if num_layers < 2:
            raise ValueError(
                "states_source mix needs several layers, speech_encoder_conf."
                f"value_layer names {num_layers}: give a list, e.g. [1, 3], or set "
                "states_source to separate"
            )

    @property
    def weights(self) -> torch.Tensor:
        """Share of each layer, (L,), adding up to one."""
        return self.logits.softmax(0)

    def forward(self, states: EncoderStates) -> EncoderStates:
        """See ``AbsStatesSource.forward``."""
        layers = states.values.unflatten(-1, (len(self.logits), -1))  # (B, F, L, D)
        if self.normalize:
            layers = functional.layer_norm(layers, (self.value_size,))
        values = torch.einsum("l,bfld->bfd", self.weights, layers)
        return replace(states, values=values)


class ProsodyStates(AbsStatesSource):
    """Behind the values of one layer, or of a mix, measured pitch, voicing, loudness.

    Few layers of an encoder that was trained to recognize words hold pitch. Not part of
    the published system. Relative: the pitch tokens of SPIRIT LM (Nguyen et al. 2024).

    Args:
        key_size: Features of the keys.
        value_size: Features of one layer.
        num_layers: Layers L; several are mixed as ``MixedStates`` does.
        normalize: See ``MixedStates``; one layer is used as it comes.
    """

    needs_prosody = True

    def __init__(
        self,
        key_size: int,
        value_size: int,
        num_layers: int = 1,
        normalize: bool = True,
    ):
        super().__init__(key_size, value_size + FEATURES, num_layers)
        self.mix: nn.Module = nn.Identity()
        if num_layers > 1:
            self.mix = MixedStates(key_size, value_size, num_layers, normalize)

    def check_layers(self, num_layers: int) -> None:
        """One layer or several."""

    def forward(self, states: EncoderStates) -> EncoderStates:
        """See ``AbsStatesSource.forward``; values enter as (B, F, L * D + 3)."""
        values, prosody = states.values.tensor_split([-FEATURES], dim=-1)
        values = self.mix(replace(states, values=values)).values
        return replace(states, values=torch.cat([values, prosody], dim=-1))


class LastLayerStates(AbsStatesSource):
    """Keys and values from the last layer (``original``; golden case G1e)."""

    def __init__(self, key_size: int, value_size: int, num_layers: int = 1):
        super().__init__(key_size, value_size, num_layers)
        self.value_size = key_size

    def forward(self, states: EncoderStates) -> EncoderStates:
        """(B, F, D) keys serve as values."""
        return replace(states, values=states.keys)


class SummedStates(AbsStatesSource):
    """Keys and values are the sum of both layers (``add``; golden case G1d)."""

    def __init__(self, key_size: int, value_size: int, num_layers: int = 1):
        super().__init__(key_size, value_size, num_layers)
        if key_size != value_size:
            raise ValueError(
                f"keys of {key_size} and values of {value_size} features cannot be "
                "added: set states_source to separate"
            )
        self.norm: nn.Module = nn.Identity()

    def forward(self, states: EncoderStates) -> EncoderStates:
        """(B, F, D) keys plus values serve as both."""
        both = self.norm(states.keys + states.values)
        return replace(states, keys=both, values=both)


class NormedSumStates(SummedStates):
    """The sum through a layer norm (``add_and_norm``; golden case G1c)."""

    def __init__(self, key_size: int, value_size: int, num_layers: int = 1):
        super().__init__(key_size, value_size, num_layers)
        self.norm = nn.LayerNorm(key_size)
