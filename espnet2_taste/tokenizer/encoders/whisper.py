"""Whisper's encoder as a frozen speech encoder.

Enters: 16 kHz waveforms (B, S), or log-mel features (B, T, M). Leaves: keys after
the final norm and values from a shallow layer, (B, F, D), 50 frames a second.
Legend: B utterances, S samples, T mel frames, M mel bins, F frames (T / 2), D
features.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
from espnet2_taste.tokenizer.transformer import EncoderBlock

SUBSAMPLING = 2
RECEPTIVE_MELS = 4


@dataclass(frozen=True)
class WhisperSize:
    """Sizes of a Whisper encoder.

    Attributes:
        num_mels: Mel bins M.
        size: D.
        num_heads: Attention heads.
        linear_units: Hidden features of the feed-forwards.
        num_layers: Blocks.
        num_positions: Longest input in frames.
    """

    num_mels: int
    size: int
    num_heads: int
    linear_units: int
    num_layers: int
    num_positions: int

    @classmethod
    def from_config(cls, config: Mapping) -> "WhisperSize":
        """Sizes from the entries of a Hugging Face ``config.json``."""
        return cls(
            num_mels=config["num_mel_bins"],
            size=config["d_model"],
            num_heads=config["encoder_attention_heads"],
            linear_units=config["encoder_ffn_dim"],
            num_layers=config["encoder_layers"],
            num_positions=config["max_source_positions"],
        )


class WhisperBackbone(nn.Module):
    """The encoder network: two convolutions, learned positions, blocks, a norm.

    Args:
        sizes: Its sizes.
    """

    def __init__(self, sizes: WhisperSize):
        super().__init__()
        self.sizes = sizes
        self.conv1 = nn.Conv1d(sizes.num_mels, sizes.size, 3, padding=1)
        self.conv2 = nn.Conv1d(sizes.size, sizes.size, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(sizes.num_positions, sizes.size)
        self.layers = nn.ModuleList(
            EncoderBlock(sizes.size, sizes.num_heads, sizes.linear_units)
            for _ in range(sizes.num_layers)
        )
        self.layer_norm = nn.LayerNorm(sizes.size)

    def embed(self, features: torch.Tensor, num_frames: int) -> torch.Tensor:
        """Input of the first block.

        Args:
            features: Log-mel, (B, T, M).
            num_frames: Frames F to keep.

        Returns:
            (B, F, D).
        """
        x = F.gelu(self.conv1(features.transpose(1, 2)))
        x = F.gelu(self.conv2(x)).transpose(1, 2)[:, :num_frames]  # (B, F, D)
        return x + self.embed_positions.weight[: x.size(1)]

    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None,
        layers: Sequence[int],
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """All blocks.

        Args:
            x: Embedded input, (B, F, D).
            mask: Valid frames, (B, 1, 1, F), or None to attend to all.
            layers: Hidden states wanted, as numbers of blocks passed.

        Returns:
            Those hidden states, and the normed output, (B, F, D).
        """
        hidden = [x]
        for block in self.layers:
            hidden.append(block(hidden[-1], mask))
        return [hidden[layer] for layer in layers], self.layer_norm(hidden[-1])

    def load_whisper_state(self, state: Mapping[str, torch.Tensor]):
        """Load a state dict in Whisper's names.

        Args:
            state: Names below ``encoder.``.

        Raises:
            RuntimeError: A name is missing, unknown or of another shape.
        """
        renamed = {
            name.replace(".fc", ".feed_forward.fc"): tensor
            for name, tensor in state.items()
        }
        self.load_state_dict(renamed)


class WhisperSpeechEncoder(AbsSpeechEncoder):
    """Whisper's encoder behind the common interface.

    Args:
        backbone: The network with its weights.
        value_layer: Layer of the values, 6 in the published system; several for a
            mix.
        full_window: Fill up to 30 s and let every frame be attended, as the
            reference does. Otherwise frames behind an utterance's end are masked and
            not computed.
        key_layer: Layer of the keys; the normed output by default.
    """

    sample_rate = SAMPLE_RATE
    frame_rate = SAMPLE_RATE / HOP / SUBSAMPLING

    def __init__(
        self,
        backbone: WhisperBackbone,
        value_layer: int | Sequence[int] = 6,
        full_window: bool = True,
        key_layer: int | None = None,
    ):
        super().__init__()
        self.backbone = backbone
        self.full_window = full_window
        self.key_size = self.value_size = backbone.sizes.size
        self.num_layers = backbone.sizes.num_layers
        self.choose_layers(value_layer, key_layer)
        self.log_mel = WhisperLogMel(backbone.sizes.num_mels)
        self.freeze()

    def layer_states(self, speech, speech_lengths, layers):
        """See ``AbsSpeechEncoder.layer_states``."""
        features = self.log_mel(pad_to_window(speech, speech_lengths))
        frames = (speech_lengths // (HOP * SUBSAMPLING)).clamp(min=1)
        if self.full_window:
            frames = torch.full_like(frames, self.backbone.sizes.num_positions)
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
        positions = self.backbone.sizes.num_positions
        longest = min(int(frames.max()), positions)
        wanted = min(longest * SUBSAMPLING + RECEPTIVE_MELS, positions * SUBSAMPLING)
        features = F.pad(features, (0, 0, 0, max(0, wanted - features.size(1))))
        x = self.backbone.embed(features[:, :wanted], longest)
        lengths = frames.clamp(max=longest)
        valid = length_mask(lengths, longest)
        mask = None if bool(valid.all()) else valid[:, None, None]
        states, final = self.backbone(x, mask, layers)
        return states, final, lengths


class PretrainedWhisperEncoder(WhisperSpeechEncoder):
    """Whisper from a local directory or a hub name, any size.

    Args:
        model: Directory, file in it, or name, e.g. ``openai/whisper-large-v3``.
        value_layer: See ``WhisperSpeechEncoder``.
        full_window: See ``WhisperSpeechEncoder``.
        key_layer: See ``WhisperSpeechEncoder``.

    Raises:
        ValueError: There is no such model.
    """

    def __init__(
        self,
        model: str,
        value_layer: int | Sequence[int] = 6,
        full_window: bool = True,
        key_layer: int | None = None,
    ):
        transformers = require("transformers", "the Whisper speech encoder", "whisper")
        whisper = load_pretrained(transformers.WhisperModel, model)
        sizes = WhisperSize.from_config(whisper.config.to_dict())
        backbone = WhisperBackbone(sizes)
        backbone.load_whisper_state(whisper.encoder.state_dict())
        super().__init__(backbone, value_layer, full_window, key_layer)
        self._decoder_state = decoder_state_from_whisper(whisper.decoder.state_dict())
        self._decoder_heads = whisper.config.decoder_attention_heads

    def decoder_state(self) -> Mapping[str, torch.Tensor]:
        """See ``AbsSpeechEncoder.decoder_state``."""
        return self._decoder_state

    def decoder_sizes(self) -> Mapping[str, int]:
        """See ``AbsSpeechEncoder.decoder_sizes``."""
        return decoder_sizes(self._decoder_state, self._decoder_heads)
