"""Which weights a configuration calls for, under their published names.

Enters: options of our tasks. Leaves: names -> tensors without memory (device
``meta``), whose shapes say what a published folder must hold. They come from our own
modules, so nothing that passes can fail to load later.
"""

from argparse import Namespace
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import torch

from espnet2_taste.reference import names
from espnet2_taste.reference.names import State
from espnet2_taste.slm.layouts.streams import Inventory, TextVocabulary
from espnet2_taste.speech_decoder.unit_decoder import UnitDecoder
from espnet2_taste.tasks.build_unit_vocoder import build_unit_vocoder
from espnet2_taste.tasks.choices import fusion_choices
from espnet2_taste.tasks.slm_choices import (
    adaptation_choices,
    code_embedding_choices,
    head_choices,
    input_fusion_choices,
    layout_choices,
)
from espnet2_taste.tokenizer.aggregator import WhisperAggregator
from espnet2_taste.tokenizer.encoders.whisper import random_encoder
from espnet2_taste.tokenizer.quantizers.rvq import ResidualQuantizer

UNUSED_VARIANCE_HEADS = ("multi_linear_last",)
NO_TEXT = TextVocabulary(np.ones(1, dtype=bool), np.zeros(1, dtype=bool), 0)
"""Layouts have no weights, whatever the vocabulary."""
UNUSED_DEPTH = 4
"""Layers of the networks that the published quantizer carries and never runs."""


def taste_weights(options: Mapping[str, Any], whisper: Mapping[str, Any]) -> State:
    """Weights of audio tower and speech decoder.

    Args:
        options: Of ``configs.taste_options``.
        whisper: Configuration of the audio tower's Whisper.

    Returns:
        Published names -> empty tensors.
    """
    decoder_conf = options["unit_decoder_conf"]
    quantizer_conf = options["quantizer_conf"]
    with torch.device("meta"):
        fusion_class = fusion_choices.get_class(options["fusion"])
        fusion = fusion_class(decoder_conf["hidden_size"], **options["fusion_conf"])
        parts = {
            "tokenizer.encoder.backbone.": random_encoder(whisper),
            "tokenizer.aggregator.": WhisperAggregator(
                key_size=whisper["d_model"],
                value_size=whisper["d_model"],
                **options["aggregator_conf"],
            ),
            names.OUR_QUANTIZER: ResidualQuantizer(**quantizer_conf),
            "unit_decoder.": UnitDecoder(
                taste_size=quantizer_conf["dim"], fusion=fusion, **decoder_conf
            ),
        }
    own: State = {}
    for prefix, module in parts.items():
        own |= names.under(module.state_dict(), prefix)
    return names.taste_to_published(own)


def unused_weights(options: Mapping[str, Any]) -> State:
    """Weights that the published code makes, saves and never uses.

    These are the networks of the quantizer's library for codebooks that are computed,
    and a variance in the head ``multi_linear_last``, one for each feature of the speech
    encoder, whatever the size of the text LM.

    Args:
        options: Of ``configs.taslm_options``.

    Returns:
        Published names -> empty tensors.
    """
    latent_size = options["quantizer_conf"]["latent_size"]
    shapes = {"proj_in": (latent_size, 2 * latent_size)}
    for layer in range(UNUSED_DEPTH):
        for place in (0, 2):
            shapes[f"layers.{layer}.{place}"] = (latent_size, latent_size)
    weights = {}
    for index in range(options["quantizer_conf"]["num_codebooks"] - 1):
        for part, shape in shapes.items():
            place = f"{names.UNUSED}{index}.{part}."
            weights[place + "weight"] = torch.empty(shape, device="meta")
            weights[place + "bias"] = torch.empty(shape[:1], device="meta")
    if options["head"] in UNUSED_VARIANCE_HEADS:
        size = options["quantizer_conf"]["dim"]
        weights[names.VARIANCE] = torch.empty(size, device="meta")
    return weights


def taslm_weights(options: Mapping[str, Any], text_config: Mapping[str, Any]) -> State:
    """Weights of the spoken LM.

    Args:
        options: Of ``configs.taslm_options``.
        text_config: Configuration of the text LM.

    Returns:
        Published names -> empty tensors.
    """
    with torch.device("meta"):
        quantizer = ResidualQuantizer(**options["quantizer_conf"])
        lm = text_lm(text_config)
        backbone = _part(adaptation_choices, options, lm)
        size, states = backbone.hidden_size, backbone.num_states
        embedding = _part(code_embedding_choices, options, quantizer)
        fusion = _part(input_fusion_choices, options, size, quantizer.dim)
        parts = {
            "backbone.": backbone,
            "embedding.code_embedding.": embedding,
            "embedding.input_fusion.": fusion,
            "code_head.": _part(head_choices, options, size, states, quantizer),
        }
        _part(layout_choices, options, Inventory(NO_TEXT, units=0))
        own: State = {names.TASLM + "embedding.pad_text": torch.empty(size)}
    for prefix, module in parts.items():
        own |= names.under(module.state_dict(), names.TASLM + prefix)
    return names.taslm_to_published(own, options["input_fusion"] == "simple_sum")


def _part(choices, options: Mapping[str, Any], *sizes):
    class_ = choices.get_class(options[choices.name])
    return class_(*sizes, **options.get(f"{choices.name}_conf", {}))


def text_lm(text_config: Mapping[str, Any]):
    """Build the causal LM of a configuration, with random weights.

    Args:
        text_config: Published ``text_config``.

    Returns:
        A ``transformers`` causal LM.

    Raises:
        ValueError: Not a kind of model that ``transformers`` knows.
    """
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    fields = deepcopy(dict(text_config))  # the library changes nested values
    kind = fields.pop("model_type", None)
    if kind not in CONFIG_MAPPING:
        raise ValueError(f"config.json: text_config has model_type '{kind}'")
    config = CONFIG_MAPPING[kind](**fields)
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def vocoder_weights(options: Mapping[str, Any]) -> State:
    """Weights of the voice generator.

    Args:
        options: Of ``configs.vocoder_options``.

    Returns:
        Published names -> empty tensors.
    """
    args = Namespace(**{"model_conf": {}, **options})
    state = build_unit_vocoder(args).state_dict()
    return names.below(state, "vocoder.")
