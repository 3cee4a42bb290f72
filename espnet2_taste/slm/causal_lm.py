"""Causal language models of Hugging Face: built from a configuration or loaded.

Enters: a directory or hub name, or a configuration, and a tokenizer. Leaves: a
``transformers`` causal LM, (B, N) token ids -> (B, N, V) logits, whose vocabulary fits
the tokenizer. Both the text backbone's training and the spoken language model use it.
The spoken LM feeds embeddings and reads hidden states; what the model's own class does
between hidden states and logits (caps, scales) is done here by that class.

Legend: B utterances, N text tokens, H hidden size, V vocabulary.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from espnet2_taste.experiment_files import local_place
from espnet2_taste.slm.lm_options import LmOptions
from espnet2_taste.tokenizer.encoders.hub import weights_or_sizes


class _Outputs(tuple):
    """What a transformer returns, of which only the final states are there."""

    @property
    def last_hidden_state(self) -> torch.Tensor:
        """Hidden states after the final norm, (B, N, H)."""
        return self[0]

    def __getattr__(self, name: str) -> None:
        """Caches, attention maps, router scores: none, whatever a class asks for."""
        return None


class _GivenStates(nn.Module):
    """Stands where the transformer of a causal LM was; its result is given."""

    @property
    def decoder(self) -> "_GivenStates":
        """Some classes (OPT) call the decoder inside their transformer."""
        return self

    def forward(self, input_ids=None, inputs_embeds=None, **options) -> _Outputs:
        """Return final hidden states (B, N, H), given as embeddings."""
        return _Outputs([inputs_embeds])


def text_logits(lm: nn.Module, last: torch.Tensor) -> torch.Tensor:
    """Logits as the model's own class computes them from its final hidden states.

    Args:
        lm: A Hugging Face causal LM.
        last: Hidden states after the final norm, (..., H).

    Returns:
        (..., V), computed in the model's type and given in that of ``last``.
    """
    head = copy.copy(lm)  # shares every weight; only the transformer is left out
    head._modules = {**lm._modules, lm.base_model_prefix: _GivenStates()}
    rows = last.reshape(1, -1, last.size(-1)).to(lm.get_input_embeddings().weight.dtype)
    logits = head(inputs_embeds=rows, use_cache=False).logits
    return logits.view(*last.shape[:-1], logits.size(-1)).to(last.dtype)


def check_causal_lm(lm: nn.Module) -> None:
    """Refuse a model that cannot be fed with embeddings and read by hidden states.

    Args:
        lm: A Hugging Face causal LM; one without weights (on the meta device) is only
            checked for its sizes.

    Raises:
        ValueError: Its logits would differ from those of its own class.
    """
    table = lm.get_input_embeddings().weight
    name, size = lm.config.model_type, lm.config.hidden_size
    if table.size(1) != size:
        raise ValueError(
            f"language models of type '{name}' whose embeddings have {table.size(1)} "
            f"features and whose hidden states have {size} cannot be used: choose "
            "another size or type (--init_lm or lm_conf)"
        )
    if table.is_meta:
        return
    training = lm.training
    lm.eval()
    try:
        equal = _equal_logits(lm, table)
    except Exception as error:  # each class fails in its own way
        raise _wrong_type(name, str(error)) from error
    finally:
        lm.train(training)
    if not equal:
        raise _wrong_type(name, "its logits differ from those of its own class")


@torch.no_grad()
def _equal_logits(lm: nn.Module, table: torch.Tensor) -> bool:
    """Whether a model predicts the same of three tokens as of their embeddings."""
    ids = torch.arange(1, 4, device=table.device)[None] % table.size(0)
    output = lm.base_model(
        inputs_embeds=lm.get_input_embeddings()(ids),
        position_ids=torch.arange(ids.size(1), device=table.device)[None],
        past_key_values=None,
        use_cache=True,
        output_hidden_states=True,
    )
    output.past_key_values.get_seq_length()  # generation asks for it
    found = text_logits(lm, output.last_hidden_state)
    own = lm(input_ids=ids, use_cache=False).logits
    near = max(1e-3, 4 * torch.finfo(table.dtype).eps)
    return torch.allclose(own, found, rtol=near, atol=near)


def _wrong_type(name: str, reason: str) -> ValueError:
    return ValueError(
        f"language models of type '{name}' cannot be fed with embeddings as the spoken "
        f"LM does ({reason}): choose another type (--init_lm or lm_conf model_type)"
    )


def check_positions(lm: nn.Module, rows: int) -> None:
    """Refuse more rows than the model has positions.

    Args:
        lm: A Hugging Face causal LM.
        rows: Rows, those before included.

    Raises:
        ValueError: There are too many.
    """
    limit = getattr(lm.config, "max_position_embeddings", None)
    if limit is not None and rows > limit:
        raise ValueError(
            f"{rows} rows of text and speech, but the language model has {limit} "
            "positions (max_position_embeddings): shorten the prompt or the "
            "utterance, or choose an LM with more"
        )


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
            but not its weights (e.g. ``attention_dropout``); usually empty. For both
            the keys of :class:`LmOptions`.
        vocab_size: Number of token ids in use.
        tokenizer: Hugging Face tokenizer; gives the special ids.

    Returns:
        A ``transformers`` causal LM.

    Raises:
        ValueError: Unknown model type or field, a type that cannot be used, or a
            vocabulary too small.
    """
    build = _random_lm if name_or_dir is None else _loaded_lm
    options, fields = LmOptions.split(config)
    model = build(name_or_dir, fields, vocab_size, tokenizer, options)
    rows = model.get_input_embeddings().weight.shape[0]
    if rows < vocab_size:
        raise ValueError(
            f"the language model knows {rows} tokens, its tokenizer {vocab_size}; give "
            "the tokenizer that belongs to the model (--tokenizer_path)"
        )
    options.apply(model)
    check_causal_lm(model)
    return model


def _random_lm(name_or_dir, config: dict, vocab_size: int, tokenizer, options):
    """Random weights; ``name_or_dir`` is None."""
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    if options.load_in_4bit:
        raise ValueError(
            "lm_conf: load_in_4bit is for a trained LM: give it with --init_lm"
        )
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
        "attn_implementation": options.attn_implementation,
    }
    model_config = class_(**{**settings, **config})
    return AutoModelForCausalLM.from_config(model_config, dtype=options.torch_dtype)


def _loaded_lm(name_or_dir, config: dict, vocab_size: int, tokenizer, options):
    """Trained weights, read as safetensors only."""
    from transformers import AutoConfig, AutoModelForCausalLM

    place = local_place(name_or_dir)
    common = {"local_files_only": Path(place).is_dir(), "trust_remote_code": False}
    try:
        attention = options.attn_implementation
        loaded = AutoConfig.from_pretrained(
            place, attn_implementation=attention, **common
        )
    except (OSError, ValueError) as error:
        raise _cannot_load(place, error) from error
    _check_fields(config, loaded, f"the model in '{place}'")
    loaded.update(config)
    try:
        return weights_or_sizes(
            AutoModelForCausalLM,
            place,
            options.torch_dtype,
            loaded,
            use_safetensors=True,
            **options.loading(),
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
