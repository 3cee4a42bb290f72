"""Names of trained text decoders -> names of the aggregator.

Enters: the state dict of a Whisper or an ESPnet Transformer decoder. Leaves: a state
dict for ``DecoderAggregator``: ``embed``, ``positions`` (Whisper only), ``blocks.i``
and ``norm``. The output layer and position tables that are computed are left out.
"""

from collections.abc import Mapping

import torch
from torch.nn import functional

from espnet2_taste.prosody import FEATURES

_ESPNET_ATTENTION = {
    "linear_q": "q_proj",
    "linear_k": "k_proj",
    "linear_v": "v_proj",
    "linear_out": "out_proj",
}
_ESPNET_MODULE = {
    "src_attn": "encoder_attn",
    "norm1": "self_attn_layer_norm",
    "norm2": "encoder_attn_layer_norm",
    "norm3": "final_layer_norm",
    "w_1": "fc1",
    "w_2": "fc2",
    "decoders": "blocks",
    "after_norm": "norm",
}
_ESPNET_IGNORED = ("output_layer.", "embed.1.")


def decoder_sizes(state: Mapping[str, torch.Tensor], num_heads: int) -> dict[str, int]:
    """Options of an aggregator that a decoder's weights fit.

    Args:
        state: In the aggregator's names.
        num_heads: Attention heads, which the weights do not show.

    Returns:
        Keyword arguments of ``DecoderAggregator``.
    """
    rows, size = state["embed.weight"].shape
    blocks = {name.split(".")[1] for name in state if name.startswith("blocks.")}
    sizes = {
        "vocab_size": rows,
        "size": size,
        "num_heads": num_heads,
        "num_layers": len(blocks),
        "linear_units": len(state["blocks.0.feed_forward.fc1.weight"]),
    }
    if "positions.weight" in state:
        sizes["max_positions"] = len(state["positions.weight"])
    return sizes


def decoder_state_from_whisper(
    state: Mapping[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Rename a Whisper decoder.

    Args:
        state: Names below ``decoder.`` in Whisper's layout.

    Returns:
        The aggregator's state dict.
    """
    heads = {"embed_tokens": "embed", "embed_positions": "positions"}
    heads |= {"layers": "blocks", "layer_norm": "norm"}
    renamed = {}
    for name, tensor in state.items():
        head, _, tail = name.partition(".")
        tail = tail.replace(".fc", ".feed_forward.fc")
        renamed[f"{heads.get(head, head)}.{tail}"] = tensor
    return renamed


def decoder_state_from_espnet(
    state: Mapping[str, torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Rename an ESPnet Transformer decoder.

    Args:
        state: Names below ``decoder.`` of an ESPnet ASR model.

    Returns:
        The aggregator's state dict.
    """
    names = _ESPNET_MODULE | _ESPNET_ATTENTION
    renamed = {}
    for name, tensor in state.items():
        if not name.startswith(_ESPNET_IGNORED):
            parts = [names.get(part, part) for part in name.split(".")]
            renamed[".".join(parts).replace("embed.0.", "embed.")] = tensor
    return renamed


def with_prosody(own: Mapping, state: Mapping) -> dict[str, torch.Tensor]:
    """Value projections of a decoder, with columns of zeros for measured prosody."""
    wide = {name: x for name, x in own.items() if name.endswith("attn.v_proj.weight")}
    return {
        name: (
            functional.pad(x, (0, FEATURES))
            if name in wide and wide[name].size(1) - x.size(1) == FEATURES
            else x
        )
        for name, x in state.items()
    }


def check_decoder_state(own: Mapping, state: Mapping, skipped: set[str]):
    """Refuse a decoder that is none of this aggregator.

    Args:
        own: Names and tensors of the aggregator.
        state: Those of the decoder, in the aggregator's names.
        skipped: Names that need not be there, or need not fit.

    Raises:
        ValueError: A tensor is unknown, missing or of another shape.
    """
    missing = sorted(set(own) - set(state) - skipped)
    unknown = sorted(set(state) - set(own))
    shapes = [
        f"{name}: {tuple(state[name].shape)} given, {tuple(own[name].shape)} wanted"
        for name in sorted(set(own) & set(state) - skipped)
        if own[name].shape != state[name].shape
    ]
    if missing or unknown or shapes:
        raise ValueError(
            "the decoder cannot initialise this aggregator (missing: "
            f"{missing or 'none'}; unknown: {unknown or 'none'}; shapes: "
            f"{shapes or 'equal'}): make aggregator_conf match the decoder, or set "
            "init_aggregator to false"
        )
