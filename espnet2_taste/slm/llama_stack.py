"""The weights of a Llama, arranged to read single rows with as few calls as possible.

Enters: a Hugging Face causal LM of the Llama family without adapters in its way; then
embedded rows. Leaves: the hidden states that the model's own forward pass gives, up to
rounding. One token costs little more than reading the weights once:

- queries, keys and values are one product, gate and up-projection another;
- weights lie inputs first, as the product with a single row reads them fastest;
- products and all else are done by what is fastest for the device and type, see
  :mod:`espnet2_taste.row_arithmetic`.

The model keeps views of the rearranged weights: nothing exists twice, and its own
forward pass works as before. Attention is left to the caller, who has keys and values.

Legend: H hidden size, A attention heads, G heads of keys and values, E features of a
head, I features between gate and down-projection.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from espnet2_taste.row_arithmetic import AbsRowArithmetic, row_arithmetic

MODEL_TYPES = ("llama", "mistral", "qwen2")
ROPE_TYPES = ("default", "linear", "llama3", "yarn")
"""Those whose angles do not depend on the length of the text."""
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
FEED_FORWARD = ("gate_proj", "up_proj", "down_proj")


def is_plain_llama(lm: nn.Module) -> bool:
    """Whether :class:`LlamaStack` computes what this model computes.

    Args:
        lm: A Hugging Face causal LM.

    Returns:
        False for other architectures, sliding windows, angles that change with the
        length, and linear layers that are wrapped (adapters) or quantized.
    """
    config = lm.config
    if config.model_type not in MODEL_TYPES:
        return False
    linears = [
        getattr(part, name)
        for layer in lm.base_model.layers
        for part, names in ((layer.self_attn, ATTENTION), (layer.mlp, FEED_FORWARD))
        for name in names
    ]
    linears.append(lm.get_output_embeddings())
    return (
        all(type(linear) is nn.Linear for linear in linears)
        and getattr(config, "sliding_window", None) is None
        and lm.base_model.rotary_emb.rope_type in ROPE_TYPES
    )


class PackedLinear:
    """Linear layers with the same input as one product.

    Their weights move into one tensor, inputs first, of which they keep views.

    Args:
        arithmetic: Of the rows.
        layers: Layers, in the order of their outputs.
    """

    def __init__(self, arithmetic: AbsRowArithmetic, *layers: nn.Linear):
        sizes = [layer.out_features for layer in layers]
        weights = [layer.weight.data for layer in layers]
        total, inputs = sum(sizes), layers[0].in_features
        if not _adjacent(weights):
            joined = arithmetic.empty(weights[0], inputs, total)
            torch.cat([weight.t() for weight in weights], dim=1, out=joined)
            for layer, part in zip(layers, joined.split(sizes, dim=1)):
                layer.weight.data = part.t()
        joined = layers[0].weight.data.t().as_strided((inputs, total), (total, 1))
        biases = [
            joined.new_zeros(size) if layer.bias is None else layer.bias.data
            for layer, size in zip(layers, sizes)
        ]
        has_bias = any(layer.bias is not None for layer in layers)
        self.product = arithmetic.product
        self.weight = arithmetic.array(joined)  # (in, out)
        self.bias = arithmetic.array(torch.cat(biases)) if has_bias else None

    def __call__(self, rows: Any) -> Any:
        """(rows, in) -> (rows, out)."""
        product = self.product(rows, self.weight)
        return product if self.bias is None else product + self.bias


def _adjacent(weights: Sequence[torch.Tensor]) -> bool:
    """Whether weights lie side by side already, as :class:`PackedLinear` puts them."""
    total = sum(len(weight) for weight in weights)
    start, place = 0, weights[0].untyped_storage().data_ptr()
    for weight in weights:
        same = weight.untyped_storage().data_ptr() == place
        if (
            not same
            or weight.stride() != (1, total)
            or start != weight.storage_offset()
        ):
            return False
        start += len(weight)
    return True


@dataclass(frozen=True)
class LlamaLayer:
    """Weights of one layer.

    Attributes:
        attention_norm: Scale of a norm, (H,).
        qkv: H -> (A + 2 G) E.
        out: A E -> H.
        feed_forward_norm: Scale of a norm, (H,).
        gate_up: H -> 2 I.
        down: I -> H.
        activation: Of the gate.
    """

    attention_norm: Any
    qkv: PackedLinear
    out: PackedLinear
    feed_forward_norm: Any
    gate_up: PackedLinear
    down: PackedLinear
    activation: Callable[[Any], Any]

    @classmethod
    def of(
        cls, layer: nn.Module, arithmetic: AbsRowArithmetic, activation: str
    ) -> "LlamaLayer":
        """Rearrange a decoder layer of the model with an activation of this name."""
        attention, mlp = layer.self_attn, layer.mlp
        query, keys, values = attention.q_proj, attention.k_proj, attention.v_proj
        return cls(
            arithmetic.array(layer.input_layernorm.weight),
            PackedLinear(arithmetic, query, keys, values),
            PackedLinear(arithmetic, attention.o_proj),
            arithmetic.array(layer.post_attention_layernorm.weight),
            PackedLinear(arithmetic, mlp.gate_proj, mlp.up_proj),
            PackedLinear(arithmetic, mlp.down_proj),
            arithmetic.activation(activation, mlp.act_fn),
        )


class LlamaStack:
    """The rearranged weights of a model.

    Args:
        lm: A model for which :func:`is_plain_llama` holds; its weights move.
    """

    def __init__(self, lm: nn.Module):
        model, attention = lm.base_model, lm.base_model.layers[0].self_attn
        self.head_size = attention.head_dim
        self.scale = attention.scaling
        self.heads = attention.q_proj.out_features // self.head_size
        self.kv_heads = attention.k_proj.out_features // self.head_size
        norm = model.norm
        self.arithmetic = row_arithmetic(norm.weight, norm.variance_epsilon)
        name = lm.config.hidden_act
        self.layers = [
            LlamaLayer.of(layer, self.arithmetic, name) for layer in model.layers
        ]
        self.logits = PackedLinear(self.arithmetic, lm.get_output_embeddings())
        self.like = norm.weight.data
        self.last_norm = self.arithmetic.array(self.like)
        self.rotary = model.rotary_emb
        self.half_turn = self._half_turn()

    def _half_turn(self) -> Any:
        """Which feature the rotation adds to each, ((A + 2 G) E,)."""
        features = torch.arange((self.heads + 2 * self.kv_heads) * self.head_size)
        turned = features.view(-1, self.head_size).roll(self.head_size // 2, -1)
        return self.arithmetic.array(turned.flatten().to(self.like.device))

    def angles(self, count: int) -> torch.Tensor:
        """Rotations of positions 0 .. count - 1.

        Args:
            count: Positions.

        Returns:
            Cosines, and sines with the sign that a half-turn of the features asks
            for, (count, 2, 1, E).
        """
        positions = torch.arange(count, device=self.like.device)[None]
        cos, sin = self.rotary(self.like, positions)  # (1, count, E)
        first, second = sin[0].chunk(2, dim=-1)
        signed = torch.cat([-first, second], dim=-1)
        return torch.stack([cos[0], signed], dim=1)[:, :, None]

    def rotation(self, angles: torch.Tensor) -> tuple[Any, Any]:
        """Spread angles over heads, with none for the values.

        Args:
            angles: Of each row or of all, (rows, 2, 1, E) or (1, 2, 1, E).

        Returns:
            Cosines and sines, each (rows, (A + 2 G) E), for :meth:`run`.
        """
        turned = angles.expand(-1, -1, self.heads + self.kv_heads, -1)
        still = angles.new_zeros(len(angles), 2, self.kv_heads, self.head_size)
        still[:, 0] = 1.0
        both = self.arithmetic.array(torch.cat([turned, still], dim=2).flatten(2))
        return both[:, 0], both[:, 1]

    def run(self, x: Any, rotation, attend, asked) -> tuple[Any, ...]:
        """All layers.

        Args:
            x: Embedded rows, (rows, H); this and what is returned are arrays of the
                stack's arithmetic.
            rotation: From :meth:`rotation`.
            attend: Called with the layer's index, queries (rows, A E) and keys with
                values (rows, 2 G E); returns (rows, A E).
            asked: Hidden states to return, 0 the embeddings.

        Returns:
            The states asked for, then the one after the final norm, each (rows, H).
        """
        (cos, sin), rows, states = rotation, self.arithmetic, {}
        queries = self.heads * self.head_size
        for index, layer in enumerate(self.layers):
            states[index] = x
            heads = layer.qkv(rows.norm(x, layer.attention_norm))
            turned = heads * cos + rows.columns(heads, self.half_turn) * sin
            context = attend(index, turned[:, :queries], turned[:, queries:])
            x = x + layer.out(context)
            both = layer.gate_up(rows.norm(x, layer.feed_forward_norm))
            middle = both.shape[1] // 2
            gate = layer.activation(both[:, :middle])
            x = x + layer.down(gate * both[:, middle:])
        last = states[len(self.layers)] = rows.norm(x, self.last_norm)
        return (*(states[index] for index in asked), last)
