"""Experiments trained here, described as the published model describes itself.

Enters: options and weights of a TASTE tokenizer and of a spoken LM that never came from
a published folder. Leaves: a ``config.json`` for them, or an error that lists
everything for which the published layout has no place.
"""

from collections.abc import Mapping
from typing import Any

from espnet2_taste.reference import configs, names
from espnet2_taste.reference.configs import count_modules
from espnet2_taste.reference.names import State

TASTE_PARTS = {
    "token_type": ("whisper",),
    "speech_encoder": ("whisper",),
    "states_source": ("separate",),
    "word_timer": (None,),
    "aggregator": ("whisper",),
    "quantizer": ("rvq",),
    "unit_decoder": ("taste",),
    "fusion": tuple(configs.FUSIONS.values()),
}
"""What the published layout can hold of each part, by our names."""
TASLM_PARTS = {
    "quantizer": ("rvq",),
    "adaptation": ("lora", "full"),
    **{part: tuple(table.values()) for part, (_, table) in configs.CHOICES.items()},
}
LORA_DEFAULTS = {"r": 64, "alpha": 128, "dropout": 0.05, "target_modules": "all-linear"}


def check_parts(taste: Mapping[str, Any], taslm: Mapping[str, Any]) -> None:
    """Refuse experiments with parts that the published model does not have.

    Args:
        taste: Options of the TASTE tokenizer.
        taslm: Options of the spoken LM.

    Raises:
        ValueError: At least one part; all are named.
    """
    wrong = _other_parts(taste, TASTE_PARTS, "TASTE")
    wrong += _other_parts(taslm, TASLM_PARTS, "TASLM")
    encoder = taste.get("speech_encoder_conf", {})
    if taste.get("speech_encoder") == "whisper" and not encoder.get("full_window"):
        wrong.append(
            "TASTE speech_encoder_conf: full_window is false (the published model "
            "attends to all frames of the padded 30 s)"
        )
    if wrong:
        raise ValueError(
            f"the published layout has no place for {'; '.join(wrong)}: train with "
            "those parts, or pack the experiments instead (stage 14)"
        )


def _other_parts(options: Mapping[str, Any], table: Mapping, what: str) -> list[str]:
    return [
        f"{what} {part} '{options[part]}' (it has {' or '.join(map(str, known))})"
        for part, known in table.items()
        if part in options and options[part] not in known
    ]


def published_config(
    taste: Mapping[str, Any],
    taste_weights: State,
    taslm: Mapping[str, Any],
    text_config: Mapping[str, Any],
) -> dict[str, Any]:
    """Describe experiments; sizes are read from the weights.

    Args:
        taste: Options of the TASTE tokenizer, which :func:`check_parts` accepts.
        taste_weights: Its weights, by published names.
        taslm: Options of the spoken LM, likewise.
        text_config: Configuration of its text LM.

    Returns:
        Content of ``config.json``, as far as ``configs`` reads it.
    """
    return {
        "model_type": "taste",
        "audio_tower_config": _audio_tower(taste, taste_weights),
        "speech_decoder_config": _speech_decoder(taste, taste_weights),
        "spoken_lm_config": _spoken_lm(taslm),
        "text_config": dict(text_config),
    }


def _audio_tower(options: Mapping[str, Any], state: State) -> dict[str, Any]:
    quantizer = options.get("quantizer_conf", {})
    encoder = options["speech_encoder_conf"]
    latent_size, dim = state[names.QUANTIZER + "project_in.weight"].shape
    layers = names.QUANTIZER + "layers."
    sizes = {
        "decay": 0.99,
        "kmeans_iterations": 10,
        "quantize_dropout": True,
        **quantizer,
        "dim": dim,
        "latent_size": latent_size,
        "codebook_size": state[layers + "0._codebook.embed"].size(1),
        "num_codebooks": count_modules(state, layers),
    }
    return {
        "model_type": "taste",
        "quantization_on": True,
        "is_joint_encoder_segmenter": True,
        "kwargs_for_joint_encoder_segmenter": {
            "forward_type": "asr_attn_pooling",
            "is_word_level": options.get("aggregator_conf", {}).get("word_level", True),
            "skip_prefix_idx": 4,
            "target_hidden_layer": encoder["value_layer"],
        },
        "kwargs_for_quantizer": {
            **{theirs: sizes[ours] for ours, theirs in configs.QUANTIZER.items()},
            "kmeans_init": True,
        },
    }


def _speech_decoder(options: Mapping[str, Any], state: State) -> dict[str, Any]:
    own = names.below(state, names.UNIT_DECODER)
    tokens, embed_size = own["text_embedding.weight"].shape
    units, hidden_size = own["speech_embedding.weight"].shape
    block = names.below(own, "text_encoder.encoders.0.")
    sizes = {
        "vocab_size": tokens,
        "num_units": units,
        "spembs_size": own["spk_embed_affine_layer.weight"].size(1),
        "embed_size": embed_size,
        "hidden_size": hidden_size,
        "text_blocks": count_modules(own, "text_encoder.encoders."),
        "lm_blocks": count_modules(own, "llm.encoders."),
        "attention_heads": len(block["self_attn.pos_bias_u"]),
        "linear_units": len(block["feed_forward.w_1.bias"]),
        "dropout_rate": options.get("unit_decoder_conf", {}).get("dropout_rate", 0.1),
    }
    rows = configs.UNIT_DECODER.items()
    return {
        "model_type": "taste",
        **{theirs: sizes[ours] for ours, entries in rows for theirs in entries},
        "fuse_encoded_audio_text_type": options["fusion"],
        "fuse_encoded_audio_text_kwargs": {
            "normalize": bool(options.get("fusion_conf", {}).get("normalize", False))
        },
        "skip_prefix_idx": 4,
    }


def _spoken_lm(options: Mapping[str, Any]) -> dict[str, Any]:
    weights = options.get("model_conf", {})
    pair = (weights.get("text_weight", 0.5), weights.get("speech_weight", 0.5))
    lora = LORA_DEFAULTS | dict(options.get("adaptation_conf", {}))
    return {
        "model_type": "taste",
        "delay": options.get("layout_conf", {}).get("delay", 1),
        **{
            theirs: next(name for name, own in table.items() if own == options[ours])
            for ours, (theirs, table) in configs.CHOICES.items()
        },
        "loss_weights": "-".join(map(str, pair)),
        "use_lora": options["adaptation"] == "lora",
        "kwargs_for_lora": {
            **{theirs: lora[ours] for ours, theirs in configs.LORA.items()},
            "lora_target_modules": lora["target_modules"],
        },
    }
