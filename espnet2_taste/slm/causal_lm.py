"""Causal language models of Hugging Face: built from a configuration or loaded.

Enters: a directory or hub name, or a configuration, and a tokenizer. Leaves: a
``transformers`` causal LM, (B, N) token ids -> (B, N, V) logits, whose vocabulary fits
the tokenizer. Both the text backbone's training and the spoken language model use it.

Legend: B utterances, N text tokens, V vocabulary.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from espnet2_taste.experiment_files import local_place
from espnet2_taste.text.tokenizers import load_tokenizer

__all__ = ["build_causal_lm", "load_tokenizer", "local_place"]


def build_causal_lm(
    name_or_dir: str | Path | None,
    config: Mapping[str, Any],
    vocab_size: int,
    tokenizer,
):
    """Load a causal LM, or build one with random weights.

    Args:
        name_or_dir: Directory (or a file in it) or hub name; None for random weights.
        config: For random weights: ``model_type`` (e.g. "llama") and fields of that
            model's configuration. For a loaded model: fields that change how it runs
            but not its weights (e.g. ``attention_dropout``); usually empty.
        vocab_size: Number of token ids in use.
        tokenizer: Hugging Face tokenizer; gives the special ids.

    Returns:
        A ``transformers`` causal LM in float32.

    Raises:
        ValueError: Unknown model type or field, or a vocabulary too small.
    """
    build = _random_lm if name_or_dir is None else _loaded_lm
    model = build(name_or_dir, dict(config), vocab_size, tokenizer)
    rows = model.get_input_embeddings().weight.shape[0]
    if rows < vocab_size:
        raise ValueError(
            f"the language model knows {rows} tokens, its tokenizer {vocab_size}; give "
            "the tokenizer that belongs to the model (--tokenizer_path)"
        )
    return model


def _random_lm(name_or_dir, config: dict[str, Any], vocab_size: int, tokenizer):
    """Random weights; ``name_or_dir`` is None."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    model_type = config.pop("model_type", None)
    if model_type not in CONFIG_MAPPING:
        raise ValueError(
            f"lm_conf: model_type '{model_type}' is not a Hugging Face model type; "
            "name one (e.g. model_type: llama) or give a trained model with --init_lm"
        )
    class_ = CONFIG_MAPPING[model_type]
    _check_fields(config, class_(), f"model_type '{model_type}'")
    settings = {
        "vocab_size": vocab_size,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    model_config = class_(**{**settings, **config})
    return AutoModelForCausalLM.from_config(model_config, dtype=torch.float32)


def _loaded_lm(name_or_dir, config: dict[str, Any], vocab_size: int, tokenizer):
    """Trained weights, read as safetensors only."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    place = local_place(name_or_dir)
    common = {"local_files_only": Path(place).is_dir(), "trust_remote_code": False}
    try:
        loaded = AutoConfig.from_pretrained(place, **common)
    except (OSError, ValueError) as error:
        raise _cannot_load(place, error) from error
    _check_fields(config, loaded, f"the model in '{place}'")
    loaded.update(config)
    try:
        return AutoModelForCausalLM.from_pretrained(
            place, config=loaded, dtype=torch.float32, use_safetensors=True, **common
        )
    except (OSError, ValueError) as error:
        raise _cannot_load(place, error) from error


def _cannot_load(place: str, error: Exception) -> ValueError:
    return ValueError(
        f"no language model can be loaded from '{place}' "
        f"({str(error).splitlines()[0]}); give a directory with config.json and "
        "model.safetensors, or the name of a public model"
    )


def _check_fields(config: Mapping[str, Any], known, what: str) -> None:
    """Refuse fields that the library would store and never read."""
    unknown = sorted(name for name in config if not hasattr(known, name))
    if unknown:
        raise ValueError(
            f"lm_conf: {unknown} mean nothing to {what}; see the fields of "
            f"transformers.{type(known).__name__}"
        )
