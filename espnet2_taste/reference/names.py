"""Names of the published weights and ours, both ways.

Enters: a state dict of one naming. Leaves: the same tensors under the other names,
bit for bit; codebooks lose or regain their leading dimension of one. Legend: K codes,
C latent features.

Published parts and where they go:

- ``audio_tower`` and ``speech_decoder``: ``ESPnetTasteModel``; its frozen encoder lies
  in a Whisper directory.
- ``spoken_lm``: ``ESPnetSpokenLMModel``; the frozen text LM lies in its own directory.
- ``audio_tower.vq.rvq.mlps`` and some others are saved by the published code and
  never used; they are kept aside for the export.
"""

from collections.abc import Mapping, Sequence

import torch

State = dict[str, torch.Tensor]

JOINT = "audio_tower.audio_joint_encoder_segmenter."
ENCODER = JOINT + "audio_encoder.encoder."
DECODER = JOINT + "audio_segmenter.decoder."
QUANTIZER = "audio_tower.vq.rvq."
UNUSED = QUANTIZER + "mlps."
UNIT_DECODER = "speech_decoder."
SPOKEN_LM = "spoken_lm."
VARIANCE = SPOKEN_LM + "extract_for_bridge_out_llm.b_logvar"
LORA_LM = SPOKEN_LM + "language_model.base_model.model."
PLAIN_LM = SPOKEN_LM + "language_model."
OUR_QUANTIZER = "tokenizer.quantizer."
TASLM = "core."
TASLM_QUANTIZER = "core.embedding.quantizer."

Rules = Sequence[tuple[str, str, Sequence[tuple[str, str]]]]
FEED_FORWARD = ((".fc", ".feed_forward.fc"),)
CODEBOOK = (
    ("._codebook.embed_avg", ".sums"),
    ("._codebook.embed", ".vectors"),
    ("._codebook.cluster_size", ".counts"),
    ("._codebook.initted", ".initialized"),
)
TRAINING_ONLY = ("speaker_head.", "duration_head.")  # heads of additional losses
TASTE_RULES: Rules = (
    (ENCODER, "tokenizer.encoder.backbone.", ()),
    (DECODER + "embed_tokens.", "tokenizer.aggregator.embed.", ()),
    (DECODER + "embed_positions.", "tokenizer.aggregator.positions.", ()),
    (DECODER + "layers.", "tokenizer.aggregator.blocks.", FEED_FORWARD),
    (DECODER + "layer_norm.", "tokenizer.aggregator.norm.", ()),
    (QUANTIZER + "layers.", OUR_QUANTIZER + "codebooks.", CODEBOOK),
    (QUANTIZER + "project_", OUR_QUANTIZER + "project_", ()),
    (UNIT_DECODER, "unit_decoder.", ()),
)
"""Beginning of a published name, of ours, and parts replaced behind it."""
FUSION = SPOKEN_LM + "fuse_for_bridge_in_llm."
HEAD = SPOKEN_LM + "extract_for_bridge_out_llm."
MIX_LAYER = ((".mix_layers.", ".gate."), (".value_linear.", ".value."))
SIMPLE_SUM = TASLM + "embedding.input_fusion.linear."
TASLM_RULES: Rules = (
    (PLAIN_LM, TASLM + "backbone.lm.", ()),
    (SPOKEN_LM + "pad_text_unit_embed", TASLM + "embedding.pad_text", ()),
    (SPOKEN_LM + "pad_audio_unit_embed", TASLM + "embedding.code_embedding.pad", ()),
    (
        SPOKEN_LM + "empty_audio_unit_embed",
        TASLM + "embedding.code_embedding.empty",
        (),
    ),
    (SPOKEN_LM + "a0_embedding.", TASLM + "embedding.code_embedding.table.", ()),
    (FUSION + "in_linear.", SIMPLE_SUM, ()),
    (FUSION + "layers.", TASLM + "embedding.input_fusion.layers.", MIX_LAYER),
    (FUSION, TASLM + "embedding.input_fusion.", ()),
    (HEAD + "fc_mu.", TASLM + "code_head.mu.", ()),
    (VARIANCE, TASLM + "code_head.logvar", ()),
    (HEAD + "weights", TASLM + "code_head.layer_weights", ()),
    (HEAD, TASLM + "code_head.", ()),
)
TIED = "lm_head.weight"
"""Left out of the published file: the input embedding again."""
WITH_LEADING_ONE = (".vectors", ".sums", ".counts")


def _renamed(name: str, rules: Rules) -> str | None:
    """The other name, by the first rule that fits; None without one."""
    for old, new, parts in rules:
        if name.startswith(old):
            rest = name.removeprefix(old)
            for before, after in parts:
                rest = rest.replace(before, after)
            return new + rest
    return None


def _published(name: str, rules: Rules) -> str:
    back = [(new, old, [(y, x) for x, y in parts]) for old, new, parts in rules]
    found = _renamed(name, back)
    if found is None:
        raise ValueError(
            f"'{name}' has no name in the published layout; only models of its kind "
            "(Whisper aggregator, residual quantizer) can be exported"
        )
    return found


def _has_leading_one(name: str) -> bool:
    return name.startswith(OUR_QUANTIZER) and name.endswith(WITH_LEADING_ONE)


def taste_from_published(state: Mapping[str, torch.Tensor]) -> State:
    """Rename what belongs to ``ESPnetTasteModel``; the rest is left out.

    Args:
        state: Published names; codebooks (1, K, C).

    Returns:
        Our names, those of the frozen encoder included; codebooks (K, C).
    """
    pairs = ((_renamed(name, TASTE_RULES), tensor) for name, tensor in state.items())
    return {
        name: tensor[0] if _has_leading_one(name) else tensor
        for name, tensor in pairs
        if name
    }


def taste_to_published(state: Mapping[str, torch.Tensor]) -> State:
    """Inverse of ``taste_from_published``.

    Args:
        state: Names of ``ESPnetTasteModel``.

    Returns:
        Published names, without ``TRAINING_ONLY``.

    Raises:
        ValueError: A name without a published counterpart.
    """
    return {
        _published(name, TASTE_RULES): (
            tensor[None] if _has_leading_one(name) else tensor
        )
        for name, tensor in state.items()
        if not name.startswith(TRAINING_ONLY)
    }


def is_text_lm(name: str) -> bool:
    """Whether a published name is a weight of the text LM itself, not an adapter."""
    return name.startswith(PLAIN_LM) and ".lora_" not in name


def text_lm_from_published(state: Mapping[str, torch.Tensor]) -> State:
    """The text LM alone, in Hugging Face's names.

    Args:
        state: Published names.

    Returns:
        Names of the causal LM, e.g. ``model.layers.0.self_attn.q_proj.weight``.
    """
    plain = {}
    for name, tensor in state.items():
        if is_text_lm(name):
            prefix = LORA_LM if name.startswith(LORA_LM) else PLAIN_LM
            plain[name[len(prefix) :].replace(".base_layer.", ".")] = tensor
    return plain


def taslm_from_published(state: Mapping[str, torch.Tensor]) -> State:
    """Rename what belongs to ``ESPnetSpokenLMModel`` but its quantizer.

    Args:
        state: Published names.

    Returns:
        Our names, those of the text LM included.

    Raises:
        ValueError: A name below ``spoken_lm.`` that the published model lacks.
    """
    own = {}
    for name, tensor in state.items():
        if name.startswith(SPOKEN_LM):
            renamed = _renamed(name, TASLM_RULES)
            if renamed is None:
                raise ValueError(
                    f"'{name}' is not a weight of the published spoken LM; expected a "
                    f"name that begins with one of {[rule[0] for rule in TASLM_RULES]}"
                )
            own[renamed] = tensor
    return own


def taslm_to_published(
    state: Mapping[str, torch.Tensor], simple_sum: bool = False
) -> State:
    """Inverse of ``taslm_from_published``.

    Args:
        state: Names of ``ESPnetSpokenLMModel``; the quantizer's and the tied output
            embedding are left out.
        simple_sum: The input fusion is the published ``simple_sum``, whose linear layer
            has its own name.

    Returns:
        Published names.

    Raises:
        ValueError: A name without a published counterpart.
    """
    rules = [rule for rule in TASLM_RULES if simple_sum or rule[1] != SIMPLE_SUM]
    return {
        _published(name, rules): tensor
        for name, tensor in state.items()
        if not (name.startswith(TASLM_QUANTIZER) or name.endswith(TIED))
    }


def below(state: Mapping[str, torch.Tensor], prefix: str) -> State:
    """Tensors whose name begins with ``prefix``, without it."""
    return {
        name[len(prefix) :]: tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }


def under(state: Mapping[str, torch.Tensor], prefix: str) -> State:
    """The same tensors with ``prefix`` before each name."""
    return {prefix + name: tensor for name, tensor in state.items()}
