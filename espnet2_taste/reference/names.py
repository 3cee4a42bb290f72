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

from collections.abc import Mapping

import torch

from espnet2_taste.reference.spoken_lm_names import from_reference, to_reference

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

FEED_FORWARD = ((".fc", ".feed_forward.fc"),)
CODEBOOK = (
    ("._codebook.embed_avg", ".sums"),
    ("._codebook.embed", ".vectors"),
    ("._codebook.cluster_size", ".counts"),
    ("._codebook.initted", ".initialized"),
)
TRAINING_ONLY = ("speaker_head.", "duration_head.")  # heads of additional losses
RULES = (
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
WITH_LEADING_ONE = (".vectors", ".sums", ".counts")


def taste_from_published(state: Mapping[str, torch.Tensor]) -> State:
    """Rename what belongs to ``ESPnetTasteModel``; the rest is left out.

    Args:
        state: Published names; codebooks (1, K, C).

    Returns:
        Our names, those of the frozen encoder included; codebooks (K, C).
    """
    renamed = {}
    for name, tensor in state.items():
        for published, ours, parts in RULES:
            if name.startswith(published):
                key = ours + _replaced(name[len(published) :], parts)
                lead = key.startswith(OUR_QUANTIZER) and key.endswith(WITH_LEADING_ONE)
                renamed[key] = tensor[0] if lead else tensor
                break
    return renamed


def taste_to_published(state: Mapping[str, torch.Tensor]) -> State:
    """Inverse of ``taste_from_published``.

    Args:
        state: Names of ``ESPnetTasteModel``.

    Returns:
        Published names, without ``TRAINING_ONLY``.

    Raises:
        ValueError: A name without a published counterpart.
    """
    renamed = {}
    for name, tensor in state.items():
        if name.startswith(TRAINING_ONLY):
            continue
        rule = next((rule for rule in RULES if name.startswith(rule[1])), None)
        if rule is None:
            raise ValueError(
                f"'{name}' has no name in the published layout; only models of its "
                "kind (Whisper aggregator, residual quantizer) can be exported"
            )
        published, ours, parts = rule
        back = tuple((new, old) for old, new in parts)
        lead = ours.startswith(OUR_QUANTIZER) and name.endswith(WITH_LEADING_ONE)
        key = published + _replaced(name[len(ours) :], back)
        renamed[key] = tensor.unsqueeze(0) if lead else tensor
    return renamed


def _replaced(name: str, parts: tuple) -> str:
    for old, new in parts:
        if old in name:
            return name.replace(old, new)
    return name


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
    own = {
        name[len(SPOKEN_LM) :]: tensor
        for name, tensor in state.items()
        if name.startswith(SPOKEN_LM)
    }
    return {TASLM + name: tensor for name, tensor in from_reference(own).items()}


def taslm_to_published(
    state: Mapping[str, torch.Tensor], simple_sum: bool = False
) -> State:
    """Inverse of ``taslm_from_published``; the quantizer is left out.

    Args:
        state: Names of ``ESPnetSpokenLMModel``.
        simple_sum: Whether the input fusion is the published ``simple_sum``.

    Returns:
        Published names.
    """
    own = {name.removeprefix(TASLM): tensor for name, tensor in state.items()}
    back = to_reference(own, simple_sum)
    return {SPOKEN_LM + name: tensor for name, tensor in back.items()}


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
