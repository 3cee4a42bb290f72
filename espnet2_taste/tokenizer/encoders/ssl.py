"""Self-supervised speech models (WavLM, HuBERT, wav2vec 2.0) as frozen encoders.

Enters: waveforms (B, S). Leaves: states of any of their Transformer layers, (B, F, D),
usually 50 frames a second. Legend: B utterances, S samples, C channels of the
convolutions, F frames, D features.

The convolutions run utterance by utterance: some of these models normalize them over
time, so that padding would change every frame. The Transformer runs on the batch, with
padding masked.
"""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.experiment_files import from_hub
from espnet2_taste.masks import length_mask
from espnet2_taste.tokenizer.encoders.abs_encoder import (
    AbsSpeechEncoder,
    LayerTap,
    check_frames,
)
from espnet2_taste.tokenizer.encoders.hub import load_pretrained

PARTS = ("feature_extractor", "feature_projection", "encoder")


class SslEncoder(AbsSpeechEncoder):
    """A Hugging Face model with the structure of wav2vec 2.0.

    Args:
        model: Directory, file in it, or hub name, e.g. ``microsoft/wavlm-large``.
        value_layer: Layer of the values; several for a mix.
        normalize: Bring every utterance to zero mean and unit variance first; None
            does what the model's ``preprocessor_config.json`` says.

    Raises:
        ValueError: There is no such model, it is built otherwise, or ``normalize`` is
            needed.
    """

    def __init__(
        self,
        model: str,
        value_layer: int | Sequence[int] = 1,
        normalize: bool | None = None,
    ):
        import transformers

        super().__init__()
        self.model = load_pretrained(transformers.AutoModel, model)
        missing = [name for name in PARTS if not hasattr(self.model, name)]
        if missing:
            raise ValueError(
                f"'{model}' ({type(self.model).__name__}) has no {missing[0]}: set "
                "speech_encoder_conf.model to a WavLM, HuBERT or wav2vec 2.0 model"
            )
        config = self.model.config
        self.num_layers = config.num_hidden_layers
        self.key_size = self.value_size = config.hidden_size
        self.choose_layers(value_layer)
        self.sample_rate, self.normalize = _input_format(model, normalize)
        self.frame_rate = self.sample_rate / math.prod(config.conv_stride)
        self.smallest = _receptive_field(config.conv_kernel, config.conv_stride)
        self.freeze()

    def layer_states(self, speech, speech_lengths, layers):
        """See ``AbsSpeechEncoder.layer_states``."""
        check_frames(speech_lengths // self.smallest, speech_lengths)
        rows = [
            self._convolve(wave[:length])
            for wave, length in zip(speech, speech_lengths.tolist())
        ]
        lengths = torch.tensor([len(row) for row in rows], device=speech.device)
        features = pad_sequence(rows, batch_first=True)  # (B, F, C)
        projected = self.model.feature_projection(features)
        hidden = projected[0] if isinstance(projected, tuple) else projected
        mask = length_mask(lengths, hidden.size(1))  # (B, F)
        with LayerTap(self.model.encoder.layers, layers) as tap:
            final = self.model.encoder(hidden, attention_mask=mask)[0]
        return [tap.states[layer] for layer in layers], final, lengths

    def _convolve(self, wave: torch.Tensor) -> torch.Tensor:
        """One utterance (S,) -> features (F, C)."""
        if self.normalize:
            wave = F.layer_norm(wave, wave.shape, eps=1e-7)
        return self.model.feature_extractor(wave[None])[0].T


def _input_format(model: str, normalize: bool | None) -> tuple[int, bool]:
    """Sample rate and whether to normalize, as the model's files say."""
    from transformers import AutoFeatureExtractor

    try:
        extractor = from_hub(AutoFeatureExtractor, model, trust_remote_code=False)
    except (OSError, ValueError) as error:
        if normalize is None:
            raise ValueError(
                f"'{model}' has no preprocessor_config.json that says whether its "
                "input is normalized: set speech_encoder_conf.normalize (true for most "
                "large models)"
            ) from error
        return 16000, normalize
    said = extractor.do_normalize if normalize is None else normalize
    return extractor.sampling_rate, said


def _receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Fewest samples that give a frame."""
    samples = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides)):
        samples = (samples - 1) * stride + kernel
    return samples
