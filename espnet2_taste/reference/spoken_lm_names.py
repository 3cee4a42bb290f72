"""Names of the published spoken LM's weights and ours, both ways.

Enters: a state dict below ``spoken_lm.`` of the published system, or one of
:class:`espnet2_taste.slm.core.SpokenLMCore`. Leaves: the same tensors under the other
names.
"""

import re
from typing import Dict, Mapping, Tuple

import torch

RULES: Tuple[Tuple[str, str], ...] = (
    ("language_model.", "backbone.lm."),
    ("pad_text_unit_embed", "embedding.pad_text"),
    ("pad_audio_unit_embed", "embedding.code_embedding.pad"),
    ("empty_audio_unit_embed", "embedding.code_embedding.empty"),
    ("a0_embedding.", "embedding.code_embedding.table."),
    ("fuse_for_bridge_in_llm.in_linear.", "embedding.input_fusion.linear."),
    ("fuse_for_bridge_in_llm.", "embedding.input_fusion."),
    ("extract_for_bridge_out_llm.fc_mu.", "code_head.mu."),
    ("extract_for_bridge_out_llm.b_logvar", "code_head.logvar"),
    ("extract_for_bridge_out_llm.weights", "code_head.layer_weights"),
    ("extract_for_bridge_out_llm.", "code_head."),
)
"""Published beginning of a name, ours; the first that fits is taken."""

MIX_LAYER = (("mix_layers", "gate"), ("value_linear", "value"))
"""Parts inside the layers of the ``reference_mix`` fusion."""

QUANTIZER = "embedding.quantizer."
TIED = "lm_head.weight"
"""Left out of the published file: the input embedding again."""


def from_reference(state: Mapping[str, torch.Tensor]) -> Dict[str, torch.Tensor]:
    """Rename published weights.

    Args:
        state: Tensors named as below ``spoken_lm.``.

    Returns:
        Tensors named as in ``SpokenLMCore`` (the quantizer's are elsewhere).

    Raises:
        ValueError: A name that the published spoken LM does not have.
    """
    return {_renamed(name): tensor for name, tensor in state.items()}


def _renamed(name: str) -> str:
    for published, ours in RULES:
        if name.startswith(published):
            renamed = ours + name[len(published) :]
            return _replace_parts(renamed, MIX_LAYER, "embedding.input_fusion.layers.")
    raise ValueError(
        f"'spoken_lm.{name}' is not a weight of the published spoken LM; expected a "
        f"name that begins with one of {[published for published, _ in RULES]}"
    )


def to_reference(
    state: Mapping[str, torch.Tensor], simple_sum: bool = False
) -> Dict[str, torch.Tensor]:
    """Rename our weights: the inverse of :func:`from_reference`.

    Args:
        state: Tensors named as in ``SpokenLMCore``; the quantizer's and the tied output
            embedding are left out.
        simple_sum: The fusion is ``simple_sum``, whose linear layer has its own name.

    Returns:
        Tensors named as below ``spoken_lm.``.

    Raises:
        ValueError: A name without a published counterpart.
    """
    back = [(ours, published) for published, ours in RULES]
    if not simple_sum:
        back = [rule for rule in back if rule[0] != "embedding.input_fusion.linear."]
    mix = tuple((ours, published) for published, ours in MIX_LAYER)
    result = {}
    for name, tensor in state.items():
        if name.startswith(QUANTIZER) or name.endswith(TIED):
            continue
        rule = next((rule for rule in back if name.startswith(rule[0])), None)
        if rule is None:
            raise ValueError(f"'{name}' has no name in the published layout")
        name = _replace_parts(name, mix, "embedding.input_fusion.layers.")
        result[rule[1] + name[len(rule[0]) :]] = tensor
    return result


def _replace_parts(name: str, parts, prefix: str) -> str:
    if not name.startswith(prefix):
        return name
    for old, new in parts:
        name = re.sub(rf"\.{old}\.", f".{new}.", name)
    return name
