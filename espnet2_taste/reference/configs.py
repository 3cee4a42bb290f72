"""The published configuration as options of our tasks.

Enters: the published ``config.json``, the Whisper configuration of its audio tower, or
the shapes of the voice generator. Leaves: the options in which a task differs from its
defaults, as they stand in ``config.yaml``.
"""

from collections.abc import Mapping
from typing import Any

import torch

FUSIONS = {"weighted_sum": "weighted_sum"}
_INPUT_FUSIONS = ("weighted_sum", "simple_sum", "reference_mix")
LATENT_HEAD = "continue_latent_linear_last"
_HEADS = (LATENT_HEAD, "linear_last", "multi_linear_last", "weighted_layer")
_CODE_EMBEDDINGS = {
    "fill_forward": "fill_forward",
    "pad": "arrival",
    "embed_a0_only": "first_codebook",
}
_LAYOUTS = {"word": "text_aligned", "token": "text_aligned_token_delay"}
CHOICES: dict[str, tuple[str, dict[str, str]]] = {
    "layout": ("delay_level", _LAYOUTS),
    "code_embedding": ("audio_embed_conv_mode", _CODE_EMBEDDINGS),
    "input_fusion": ("in_llm_module", {name: name for name in _INPUT_FUSIONS}),
    "head": ("out_llm_module", {name: name for name in _HEADS}),
}
"""Our choice -> entry of ``spoken_lm_config``, and its values -> ours."""
QUANTIZER = {
    "dim": "dim",
    "num_codebooks": "num_quantizers",
    "codebook_size": "codebook_size",
    "latent_size": "codebook_dim",
    "decay": "decay",
    "kmeans_iterations": "kmeans_iters",
    "quantize_dropout": "quantize_dropout",
}
"""Our option -> entry of ``kwargs_for_quantizer``."""
UNIT_DECODER = {
    "vocab_size": ("text_token_size",),
    "num_units": ("speech_token_size",),
    "spembs_size": ("spk_embed_dim",),
    "embed_size": ("encoder_input_size",),
    "hidden_size": ("llm_input_size", "llm_output_size"),
    "text_blocks": ("encoder__num_blocks",),
    "lm_blocks": ("llm__num_blocks",),
    "attention_heads": ("encoder__attention_heads", "llm__attention_heads"),
    "linear_units": ("encoder__linear_units", "llm__linear_units"),
    "dropout_rate": ("encoder__dropout_rate", "llm__dropout_rate"),
}
"""Our option -> entries of ``speech_decoder_config``, which must be equal."""
LORA = {"r": "lora_r", "alpha": "lora_alpha", "dropout": "lora_dropout"}
"""Our option -> entry of ``kwargs_for_lora``."""
PUBLISHED_PREFIX = (50258, 50259, 50360, 50364)
"""Start, English, transcribe, no timestamps, in the vocabulary of Whisper large-v3."""
PUBLISHED_VALUE_LAYER = 6
PUBLISHED_ESTIMATOR_HEADS = 8
PUBLISHED_KL_WEIGHT = 0.9


def chosen(table: Mapping[str, str], config: Mapping, name: str) -> str:
    """Our name of a published choice.

    Args:
        table: Published names -> ours.
        config: Section of the published configuration.
        name: Entry to look up.

    Returns:
        Our name.

    Raises:
        ValueError: The entry is missing, or of a kind that has no counterpart.
    """
    value = config.get(name)
    if value not in table:
        raise ValueError(
            f"config.json: {name} is '{value}'; this can be imported: {list(table)}"
        )
    return table[value]


def same(config: Mapping, first: str, *others: str) -> Any:
    """Value of entries for which our unit decoder has one option.

    Raises:
        ValueError: They differ.
    """
    for other in others:
        if config[first] != config[other]:
            raise ValueError(
                f"config.json: {first} is {config[first]} and {other} "
                f"{config[other]}; only models where both are equal can be imported"
            )
    return config[first]


def taste_options(
    config: Mapping, whisper: Mapping, state: Mapping[str, torch.Tensor]
) -> dict[str, Any]:
    """Options of ``TasteTask`` but the paths.

    Args:
        config: Published ``config.json``.
        whisper: Configuration of the audio tower's Whisper.
        state: Published weights; two sizes stand nowhere else.

    Returns:
        Options.

    Raises:
        ValueError: A variant that our modules do not have.
    """
    tower = config["audio_tower_config"]
    joint = tower.get("kwargs_for_joint_encoder_segmenter") or {}
    chosen({True: "joint"}, tower, "is_joint_encoder_segmenter")
    chosen({"asr_attn_pooling": "keys and values"}, joint, "forward_type")
    layer = joint.get("target_hidden_layer", PUBLISHED_VALUE_LAYER)
    return {
        "token_type": "whisper",
        "speech_encoder": "whisper",
        "speech_encoder_conf": {"value_layer": layer, "full_window": True},
        "init_aggregator": False,
        "aggregator": "whisper",
        "aggregator_conf": _aggregator(whisper, joint["is_word_level"]),
        "quantizer": "rvq",
        "quantizer_conf": quantizer_options(tower["kwargs_for_quantizer"]),
        **_unit_decoder(config["speech_decoder_config"], state),
    }


def quantizer_options(sizes: Mapping) -> dict[str, Any]:
    """Options ``quantizer_conf``.

    Args:
        sizes: Published ``kwargs_for_quantizer``.

    Returns:
        Options.
    """
    return {ours: sizes[theirs] for ours, theirs in QUANTIZER.items()}


def _aggregator(whisper: Mapping, word_level: bool) -> dict[str, Any]:
    layers = whisper["decoder_layers"]
    return {
        "prefix": list(PUBLISHED_PREFIX),
        "vocab_size": whisper["vocab_size"],
        "max_positions": whisper["max_target_positions"],
        "size": whisper["d_model"],
        "num_heads": whisper["decoder_attention_heads"],
        "num_layers": layers,
        "linear_units": whisper["decoder_ffn_dim"],
        "word_level": word_level,
        # The published recipe trains neither the embeddings nor the first block.
        "trainable_layers": list(range(1, layers)),
    }


def _unit_decoder(config: Mapping, state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    fusion = chosen(FUSIONS, config, "fuse_encoded_audio_text_type")
    normalize = config["fuse_encoded_audio_text_kwargs"].get("normalize", False)
    return {
        "fusion": fusion,
        "fusion_conf": {"normalize": bool(normalize)},
        "unit_decoder": "taste",
        "unit_decoder_conf": {
            **{ours: same(config, *theirs) for ours, theirs in UNIT_DECODER.items()},
            **_taste_encoder(state),
        },
    }


def _taste_encoder(state: Mapping[str, torch.Tensor]) -> dict[str, int]:
    """Sizes that the published code writes into itself; read from the shapes."""
    first = "speech_decoder.audio_token_encoder.encoders.0."
    found = {
        "taste_attention_heads": first + "self_attn.pos_bias_u",
        "taste_linear_units": first + "feed_forward.w_1.bias",
    }
    return {key: len(state[name]) for key, name in found.items() if name in state}


def taslm_options(
    config: Mapping, reference_compat: bool, quantizer: Mapping[str, Any]
) -> dict[str, Any]:
    """Options of ``SpokenLMTask`` but the paths.

    Args:
        config: Published ``config.json``.
        reference_compat: Keep the published rules where they differ from ours.
        quantizer: Options of the TASTE quantizer, ``quantizer_conf``.

    Returns:
        Options.

    Raises:
        ValueError: A variant that our modules do not have.
    """
    spoken = config["spoken_lm_config"]
    choices = {
        ours: chosen(table, spoken, theirs) for ours, (theirs, table) in CHOICES.items()
    }
    latent = choices["head"] == LATENT_HEAD
    text_weight, speech_weight = map(float, spoken["loss_weights"].split("-"))
    return {
        "quantizer": "rvq",
        "quantizer_conf": dict(quantizer),
        **_adaptation(spoken),
        **choices,
        "layout_conf": {
            "delay": spoken["delay"],
            "reference_compat": reference_compat,
        },
        "head_conf": {"reference_compat": reference_compat} if latent else {},
        "model_conf": {
            "text_weight": text_weight,
            "speech_weight": speech_weight,
            "kl_weight": PUBLISHED_KL_WEIGHT,
        },
    }


def _adaptation(spoken: Mapping) -> dict[str, Any]:
    if not spoken["use_lora"]:
        return {"adaptation": "full", "adaptation_conf": {"keep_base": False}}
    lora = spoken["kwargs_for_lora"]
    conf = {ours: lora[theirs] for ours, theirs in LORA.items()}
    if lora.get("lora_target_modules"):
        conf["target_modules"] = lora["lora_target_modules"]
    return {"adaptation": "lora", "adaptation_conf": conf}


def vocoder_options(voice: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """Options of ``UnitVocoderTask``, from shapes: the generator has no config file.

    Args:
        voice: Weights, ``flow.*`` and ``hift.*``.

    Returns:
        Options. The number of heads of the estimator cannot be read from shapes; it
        is the published one.

    Raises:
        ValueError: A weight that gives a size is missing.
    """
    try:
        num_units, encoder_size = voice["flow.input_embedding.weight"].shape
        n_mels, spembs_size = voice["flow.spk_embed_affine_layer.weight"].shape
        block = "flow.encoder.encoders.0."
        flow_conf = {
            "encoder_size": encoder_size,
            "encoder_blocks": count_modules(voice, "flow.encoder.encoders."),
            "attention_heads": len(voice[block + "self_attn.pos_bias_u"]),
            "linear_units": len(voice[block + "feed_forward.w_1.bias"]),
            "estimator_conf": _estimator(voice),
        }
        hift_conf = {
            "base_channels": len(voice["hift.conv_pre.bias"]),
            "f0_channels": len(voice["hift.f0_predictor.condnet.0.bias"]),
        }
    except KeyError as error:
        raise ValueError(f"the voice generator lacks {error}") from error
    conf = {
        "num_units": num_units,
        "spembs_size": spembs_size,
        "mel_conf": {"n_mels": n_mels},
        "flow_conf": flow_conf,
        "hift_conf": hift_conf,
    }
    return {"vocoder": "flow_hift", "vocoder_conf": conf}


def _estimator(voice: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    prefix = "flow.decoder.estimator."
    levels = range(count_modules(voice, prefix + "down_blocks."))
    bias = prefix + "down_blocks.{}.0.block1.block.0.bias"
    inner = len(voice[prefix + "down_blocks.0.1.0.attn1.to_q.weight"])
    return {
        "channels": [len(voice[bias.format(level)]) for level in levels],
        "num_blocks": count_modules(voice, prefix + "down_blocks.0.1."),
        "num_mid_blocks": count_modules(voice, prefix + "mid_blocks."),
        "heads": PUBLISHED_ESTIMATOR_HEADS,
        "head_size": inner // PUBLISHED_ESTIMATOR_HEADS,
    }


def count_modules(state: Mapping[str, torch.Tensor], prefix: str) -> int:
    """How many numbered modules lie below a prefix."""
    own = (name[len(prefix) :] for name in state if name.startswith(prefix))
    return len({name.split(".")[0] for name in own})
