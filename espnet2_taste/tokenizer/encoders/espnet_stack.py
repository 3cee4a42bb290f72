"""ESPnet's frontend, normalization and encoder as one speech encoder.

Enters: waveforms (B, S) and the three built parts. Leaves: keys after the encoder's
final norm and values from its blocks, (B, F, D). Legend: B utterances, S samples, T
frontend frames, M frontend features, F encoder frames, D features.

ESPnet's convolutions see padding of other utterances; here they are shielded from it,
so that an utterance gives the same states in any batch.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from espnet2_taste.masks import length_mask
from espnet2_taste.precision import in_float32
from espnet2_taste.tokenizer.encoders.abs_encoder import (
    AbsSpeechEncoder,
    LayerTap,
    check_frames,
)
from espnet2_taste.tokenizer.encoders.espnet_conditions import EncoderConditions


def reflect_tails(
    speech: torch.Tensor, lengths: torch.Tensor, width: int
) -> torch.Tensor:
    """Mirror each utterance behind its own end, as a centred STFT does with one alone.

    Args:
        speech: (B, S).
        lengths: Valid samples, (B,).
        width: Samples to mirror.

    Returns:
        (B, max(lengths) + width).
    """
    longest = int(lengths.max())
    speech = F.pad(speech[:, :longest], (0, width))
    places = torch.arange(speech.size(1), device=speech.device)
    ends = lengths[:, None]
    source = torch.where(places < ends, places, 2 * (ends - 1) - places)
    mirrored = speech.gather(1, source.clamp(min=0))  # (B, S + width)
    return mirrored * (places < ends + width)


class _PaddingShield:
    """Hooks that keep padding out of an ESPnet encoder's convolutions."""

    def __init__(self, encoder: nn.Module):
        self.lengths = None
        embed = getattr(encoder, "embed", None)
        self.strided = [
            module
            for module in (embed.modules() if embed is not None else ())
            if isinstance(module, (nn.Conv1d, nn.Conv2d))
        ]
        if self.strided:
            embed.register_forward_hook(self._exact_mask)
        for module in encoder.encoders.modules():
            if isinstance(module, nn.Conv1d) and module.kernel_size[0] > 1:
                module.register_forward_pre_hook(self._without_padding)

    @property
    def subsampling(self) -> int:
        """Frontend frames in an encoder frame."""
        return math.prod(conv.stride[0] for conv in self.strided)

    def frames(self, lengths: torch.Tensor) -> torch.Tensor:
        """Encoder frames of utterances of ``lengths`` frontend frames, (B,)."""
        for conv in self.strided:
            free = lengths + 2 * conv.padding[0] - conv.kernel_size[0]
            lengths = free // conv.stride[0] + 1
        return lengths

    def _exact_mask(self, module, args, output):
        hidden = output[0][0] if isinstance(output[0], tuple) else output[0]
        return output[0], length_mask(self.lengths, hidden.size(1))[:, None]

    def _without_padding(self, module, args):
        return (args[0] * length_mask(self.lengths, args[0].size(-1))[:, None],)


class EspnetStack(AbsSpeechEncoder):
    """Frontend, normalization and encoder in a row; subclasses get them.

    Args:
        frontend: ESPnet frontend with a ``hop_length``.
        normalize: ESPnet normalization, or None.
        encoder: ESPnet encoder whose blocks are its ``encoders``.
        sample_rate: Rate of the audio, Hz.
        value_layer: Layer of the values; several for a mix.
        preencoder: ESPnet module between normalization and encoder, or None.
        conditions: What the encoder takes beside features; nothing by default.

    Raises:
        ValueError: A part lacks what is needed here, or there is no such layer.
    """

    def __init__(
        self,
        frontend: nn.Module,
        normalize: nn.Module | None,
        encoder: nn.Module,
        sample_rate: int,
        value_layer: int | Sequence[int] = 1,
        preencoder: nn.Module | None = None,
        conditions: EncoderConditions | None = None,
    ):
        super().__init__()
        _check_parts(frontend, encoder)
        self.frontend = frontend
        self.normalize = normalize
        self.preencoder = preencoder
        self.encoder = encoder
        self.conditions = conditions
        self.sample_rate = sample_rate
        self.num_layers = len(encoder.encoders)
        self.key_size = self.value_size = encoder.output_size()
        self.choose_layers(value_layer)
        self._shield = _PaddingShield(encoder)
        step = frontend.hop_length * self._shield.subsampling
        self.frame_rate = sample_rate / step

    @in_float32
    def _features(
        self, speech: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalized frontend features (B, T, M) and their lengths (B,)."""
        stft = getattr(self.frontend, "stft", None)
        width = stft.n_fft // 2 if stft is not None and stft.center else 0
        features, frames = self.frontend(reflect_tails(speech, lengths, width), lengths)
        features = features[:, : int(frames.max())]
        for module in (self.normalize, self.preencoder):
            if module is not None:
                features, frames = module(features, frames)
        return features, frames

    def layer_states(self, speech, speech_lengths, layers: Sequence[int]):
        """See ``AbsSpeechEncoder.layer_states``."""
        features, frames = self._features(speech, speech_lengths)
        lengths = self._shield.frames(frames)
        check_frames(lengths, speech_lengths)
        given, prefix = {}, 0
        if self.conditions is not None:
            given, prefix = self.conditions(len(lengths)), self.conditions.prefix_size
        self._shield.lengths = lengths + prefix
        with LayerTap(self.encoder.encoders, layers) as tap:
            final = self.encoder(features, frames, **given)[0]
        if isinstance(final, tuple):  # also the states of intermediate CTC heads
            final = final[0]
        states = [tap.states[layer][:, prefix:] for layer in layers]
        return states, final[:, prefix:], lengths


def _check_parts(frontend: nn.Module, encoder: nn.Module) -> None:
    if not hasattr(frontend, "hop_length"):
        raise ValueError(
            f"the frontend {type(frontend).__name__} does not say its hop_length, so "
            "the frame rate is unknown: choose another frontend, e.g. 'default'"
        )
    if not hasattr(encoder, "encoders"):
        raise ValueError(
            f"the encoder {type(encoder).__name__} has no blocks to take keys and "
            "values from: choose conformer, e_branchformer, branchformer or transformer"
        )
