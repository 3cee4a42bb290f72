"""Whisper's encoder as a frozen speech encoder.

Enters: 16 kHz waveforms (B, S), or log-mel features (B, T, M). Leaves: keys after
the final norm and values from a shallow layer, (B, F, D), 50 frames a second.
Legend: B utterances, S samples, T mel frames, M mel bins, F frames (T / 2), D
features.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from espnet2_taste.masks import length_mask
from espnet2_taste.optional import require
from espnet2_taste.tokenizer.decoder_init import (
    decoder_sizes,
    decoder_state_from_whisper,
)
from espnet2_taste.tokenizer.encoders.abs_encoder import AbsSpeechEncoder
from espnet2_taste.tokenizer.encoders.hub import load_pretrained
from espnet2_taste.tokenizer.logmel import (
    HOP,
    SAMPLE_RATE,
    WhisperLogMel,
    pad_to_window,
)

SUBSAMPLING = 2
RECEPTIVE_MELS = 4


def random_encoder(config: Mapping[str, Any]) -> nn.Module:
    """The encoder network of Hugging Face with random weights.

    Args:
        config: Entries of a Whisper's ``config.json``.

    Returns:
        A ``WhisperEncoder`` in evaluation mode.
    """
    transformers = require("transformers", "the Whisper speech encoder", "whisper")
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    return WhisperEncoder(transformers.WhisperConfig.from_dict(dict(config))).eval()


class WhisperSpeechEncoder(AbsSpeechEncoder):
    """Whisper's encoder behind the common interface.

    Args:
        backbone: Hugging Face's ``WhisperEncoder`` with its weights. Its own pass takes
            windows of 30 s only and no mask; its parts take any.
        value_layer: Layer of the values, 6 in the published system; several for a
            mix.
        full_window: Fill up to 30 s and let every frame be attended, as the
            reference does. Otherwise frames behind an utterance's end are masked and
            not computed.
    """

    sample_rate = SAMPLE_RATE
    frame_rate = SAMPLE_RATE / HOP / SUBSAMPLING

    def __init__(
        self,
        backbone: nn.Module,
        value_layer: int | Sequence[int] = 6,
        full_window: bool = True,
    ):
        super().__init__()
        self.backbone = backbone
        self.full_window = full_window
        sizes = backbone.config
        self.key_size = self.value_size = sizes.d_model
        self.num_layers = sizes.encoder_layers
        self.num_positions = sizes.max_source_positions
        self.choose_layers(value_layer)
        self.log_mel = WhisperLogMel(sizes.num_mel_bins)
        self.freeze()

    def layer_states(self, speech, speech_lengths, layers):
        """See ``AbsSpeechEncoder.layer_states``."""
        features = self.log_mel(pad_to_window(speech, speech_lengths))
        frames = (speech_lengths // (HOP * SUBSAMPLING)).clamp(min=1)
        if self.full_window:
            frames = torch.full_like(frames, self.num_positions)
        return self.feature_states(features, frames, layers)

    def feature_states(
        self, features: torch.Tensor, frames: torch.Tensor, layers: Sequence[int]
    ) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        """Hidden states from log-mel features.

        Args:
            features: (B, T, M); the reference fills up to its window with 0.0.
            frames: Frames to attend to, (B,).
            layers: Hidden states wanted, as numbers of blocks passed.

        Returns:
            As ``layer_states``.
        """
        positions = self.num_positions
        longest = min(int(frames.max()), positions)
        wanted = min(longest * SUBSAMPLING + RECEPTIVE_MELS, positions * SUBSAMPLING)
        features = F.pad(features, (0, 0, 0, max(0, wanted - features.size(1))))
        x = self._embed(features[:, :wanted], longest)
        taken = {0: x} if 0 in layers else {}  # a mix of all takes all
        lengths = frames.clamp(max=longest)
        valid = length_mask(lengths, longest)
        mask = None if bool(valid.all()) else valid[:, None, None]
        for number, block in enumerate(self.backbone.layers, start=1):
            x = block(x, mask)
            if number in layers:
                taken[number] = x
        return [taken[n] for n in layers], self.backbone.layer_norm(x), lengths

    def _embed(self, features: torch.Tensor, num_frames: int) -> torch.Tensor:
        """Input of the first block, (B, T, M) -> (B, F, D)."""
        x = F.gelu(self.backbone.conv1(features.transpose(1, 2)))
        x = F.gelu(self.backbone.conv2(x)).transpose(1, 2)[:, :num_frames]
        return x + self.backbone.embed_positions.weight[: x.size(1)]


class PretrainedWhisperEncoder(WhisperSpeechEncoder):
    """Whisper from a local directory or a hub name, any size.

    Args:
        model: Directory, file in it, or name, e.g. ``openai/whisper-large-v3``.
        value_layer: See ``WhisperSpeechEncoder``.
        full_window: See ``WhisperSpeechEncoder``.

    Raises:
        ValueError: There is no such model.
    """

    def __init__(
        self,
        model: str,
        value_layer: int | Sequence[int] = 6,
        full_window: bool = True,
    ):
        transformers = require("transformers", "the Whisper speech encoder", "whisper")
        whisper = load_pretrained(transformers.WhisperModel, model)
        super().__init__(whisper.encoder, value_layer, full_window)
        self._decoder_state = decoder_state_from_whisper(whisper.decoder.state_dict())
        self._decoder_heads = whisper.config.decoder_attention_heads

    def decoder_state(self) -> Mapping[str, torch.Tensor]:
        """See ``AbsSpeechEncoder.decoder_state``."""
        return self._decoder_state

    def decoder_sizes(self) -> Mapping[str, int]:
        """See ``AbsSpeechEncoder.decoder_sizes``."""
        return decoder_sizes(self._decoder_state, self._decoder_heads)
