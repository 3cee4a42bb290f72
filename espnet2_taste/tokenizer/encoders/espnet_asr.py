"""The encoder of any ESPnet ASR experiment as a frozen speech encoder.

Enters: waveforms (B, S) and an experiment directory (``config.yaml`` and a ``.pth``
file). Leaves: keys after the encoder's final norm and values from one of its blocks,
(B, F, D). Legend: B utterances, S samples, T frontend frames, F encoder frames, D
features.

Frontend and normalization of the experiment are part of the encoder; SpecAugment and
waveform augmentation are not. ESPnet's convolutions see padding of other utterances;
here they are shielded from it, so that an utterance gives the same states in any
batch.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from espnet2_taste.experiment_files import config_of, load_weights, read_config
from espnet2_taste.tokenizer.decoder_init import decoder_state_from_espnet
from espnet2_taste.tokenizer.encoders.abs_encoder import AbsSpeechEncoder

CHECKPOINTS = ("valid.acc.ave.pth", "valid.acc.best.pth", "valid.loss.best.pth")


def find_checkpoint(asr_exp: Path) -> Path:
    """The usual checkpoint of an experiment directory.

    Args:
        asr_exp: ESPnet experiment directory.

    Returns:
        The first of ``CHECKPOINTS`` that exists, else the only ``.pth`` file.

    Raises:
        ValueError: None, or no obvious one.
    """
    for name in CHECKPOINTS:
        if (asr_exp / name).is_file():
            return asr_exp / name
    others = sorted(p for p in asr_exp.glob("*.pth") if p.name != "checkpoint.pth")
    if len(others) != 1:
        raise ValueError(
            f"{asr_exp} holds {len(others)} model files and none of "
            f"{', '.join(CHECKPOINTS)}: set speech_encoder_conf.model_file"
        )
    return others[0]


def load_asr_model(asr_exp: str | Path, model_file: str | Path | None = None):
    """Build an ASR model and load its weights, every key accounted for.

    Args:
        asr_exp: ESPnet experiment directory, or its ``config.yaml``.
        model_file: Checkpoint; the usual one of the directory by default.

    Returns:
        The ``ESPnetASRModel`` in evaluation mode and its training arguments.

    Raises:
        ValueError: Files are missing.
        RuntimeError: The checkpoint does not fit the configuration.
    """
    import argparse

    from espnet2.tasks.asr import ASRTask

    config = config_of(asr_exp)
    if not config.is_file():
        raise ValueError(
            f"{config} not found: give an ESPnet ASR experiment directory "
            "(speech_encoder_conf.asr_exp)"
        )
    path = Path(model_file) if model_file else find_checkpoint(config.parent)
    args = argparse.Namespace(**read_config(config))
    model = ASRTask.build_model(args)
    state = load_weights(path)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise RuntimeError(f"{path} does not fit {config}: {error}") from error
    return model.eval(), args


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
        factor = 1
        for conv in self.strided:
            factor *= conv.stride[0]
        return factor

    def frames(self, lengths: torch.Tensor) -> torch.Tensor:
        """Encoder frames of utterances of ``lengths`` frontend frames, (B,)."""
        for conv in self.strided:
            free = lengths + 2 * conv.padding[0] - conv.kernel_size[0]
            lengths = free // conv.stride[0] + 1
        return lengths

    def _exact_mask(self, module, args, output):
        hidden = output[0][0] if isinstance(output[0], tuple) else output[0]
        places = torch.arange(hidden.size(1), device=hidden.device)
        return output[0], (places < self.lengths[:, None])[:, None]  # (B, 1, F)

    def _without_padding(self, module, args):
        places = torch.arange(args[0].size(-1), device=args[0].device)
        return (args[0] * (places < self.lengths[:, None])[:, None],)


class EspnetAsrEncoder(AbsSpeechEncoder):
    """Frontend, normalization and encoder of an ESPnet ASR experiment.

    Args:
        asr_exp: ESPnet experiment directory.
        model_file: Checkpoint; the usual one of the directory by default.
        value_layer: Block whose output gives the values.
    """

    def __init__(
        self, asr_exp: str, model_file: str | None = None, value_layer: int = 1
    ):
        super().__init__()
        model, args = load_asr_model(asr_exp, model_file)
        self.frontend = model.frontend
        self.normalize = model.normalize
        self.encoder = model.encoder
        self._token_list = list(model.token_list)
        self._decoder_state = _transformer_decoder_state(model.decoder)
        self.sample_rate = _sample_rate(args)
        self.num_layers = len(self.encoder.encoders)
        self.key_size = self.value_size = self.encoder.output_size()
        self.value_layer = value_layer
        self.check_layer(value_layer)
        self._shield = _PaddingShield(self.encoder)
        step = self.frontend.hop_length * self._shield.subsampling
        self.frame_rate = self.sample_rate / step
        self.freeze()

    def decoder_state(self) -> Mapping[str, torch.Tensor]:
        """See ``AbsSpeechEncoder.decoder_state``."""
        return self._decoder_state

    def token_list(self) -> list[str]:
        """See ``AbsSpeechEncoder.token_list``."""
        return self._token_list

    def _features(
        self, speech: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalized frontend features (B, T, M) and their lengths (B,)."""
        stft = getattr(self.frontend, "stft", None)
        width = stft.n_fft // 2 if stft is not None and stft.center else 0
        features, frames = self.frontend(reflect_tails(speech, lengths, width), lengths)
        features = features[:, : int(frames.max())]
        if self.normalize is not None:
            features, frames = self.normalize(features, frames)
        return features, frames

    @torch.no_grad()
    def layer_states(self, speech, speech_lengths, layers: Sequence[int]):
        """See ``AbsSpeechEncoder.layer_states``."""
        features, frames = self._features(speech, speech_lengths)
        lengths = self._shield.frames(frames)
        if int(lengths.min()) < 1:
            index = int(lengths.argmin())
            raise ValueError(
                f"utterance {index} of the batch has {int(speech_lengths[index])} "
                "samples, too few for the speech encoder: drop it (format_audio "
                "--min_duration)"
            )
        self._shield.lengths = lengths
        captured: dict[int, torch.Tensor] = {}
        hooks = [self._capture(layer, captured) for layer in set(layers)]
        try:
            final = self.encoder(features, frames)[0]
        finally:
            for hook in hooks:
                hook.remove()
        return [captured[layer] for layer in layers], final, lengths

    def _capture(self, layer: int, captured: dict):
        """Keep the states after ``layer`` blocks during one forward pass."""

        def keep(states):
            states = states[0]
            captured[layer] = states[0] if isinstance(states, tuple) else states

        blocks = self.encoder.encoders
        if layer < self.num_layers:
            hook = blocks[layer].register_forward_pre_hook(lambda _, args: keep(args))
        else:
            hook = blocks[-1].register_forward_hook(lambda _, args, out: keep(out))
        return hook


def _transformer_decoder_state(decoder: nn.Module) -> dict[str, torch.Tensor]:
    from espnet2.asr.decoder.transformer_decoder import TransformerDecoder

    if not isinstance(decoder, TransformerDecoder):
        logging.info("%s cannot initialise an aggregator", type(decoder).__name__)
        return {}
    return decoder_state_from_espnet(decoder.state_dict())


def _sample_rate(args) -> int:
    from humanfriendly import parse_size

    rate = (args.frontend_conf or {}).get("fs", 16000)
    return rate if isinstance(rate, int) else parse_size(str(rate))
