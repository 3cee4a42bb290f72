"""The weights of a Llama, arranged to read single rows with as few calls as possible.

Enters: a Hugging Face causal LM of the Llama family without adapters in its way; then
embedded rows. Leaves: the hidden states that the model's own forward pass gives, up to
rounding. One token costs little more than reading the weights once:

- queries, keys and values are one product, gate and up-projection another;
- weights of products with more outputs than inputs, the text logits among them, lie
  inputs first, as the product with a single row reads them fastest;
- the sum of all blocks stays in one place, where products are added to it.

The model keeps views of the rearranged weights: nothing exists twice, and its own
forward pass works as before. Attention is left to the caller, who has keys and values.

Legend: H hidden size, A attention heads, G heads of keys and values, E features of a
head, I features between gate and down-projection.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

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

    Their weights move into one tensor, inputs first, of which they keep views. A
    layer alone with no more outputs than inputs stays: so it is read faster.

    Args:
        layers: Layers, in the order of their outputs.
    """

    def __init__(self, *layers: nn.Linear):
        sizes = [layer.out_features for layer in layers]
        weights = [layer.weight.data for layer in layers]
        total, inputs = sum(sizes), layers[0].in_features
        stays = len(layers) == 1 and total <= inputs
        if not (stays or _adjacent(weights)):
            joined = torch.cat([weight.t() for weight in weights], dim=1)
            for layer, part in zip(layers, joined.split(sizes, dim=1)):
                layer.weight.data = part.t()
        first = layers[0].weight.data
        joined = first.t().as_strided((inputs, total), (total, 1))
        self.weight = first.t() if stays else joined  # (in, out)
        biases = [
            weight.new_zeros(size) if layer.bias is None else layer.bias.data
            for layer, weight, size in zip(layers, weights, sizes)
        ]
        has_bias = any(layer.bias is not None for layer in layers)
        self.bias = torch.cat(biases) if has_bias else None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(rows, in) -> (rows, out)."""
        if self.bias is None:
            return torch.mm(x, self.weight)
        return torch.addmm(self.bias, x, self.weight)

    def add(self, x: torch.Tensor, total: torch.Tensor) -> None:
        """Add the product with (rows, in) to a total, (rows, out), in place."""
        total.addmm_(x, self.weight)
        if self.bias is not None:
            total.add_(self.bias)


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


class RowNorm:
    """Root mean square norms of rows in fewer calls than the library's.

    A margin beside the features, one column of sqrt(H eps), turns the mean square with
    its eps into the length of a row.

    Args:
        norm: The model's last norm; all have its size, eps and type.
    """

    def __init__(self, norm: nn.Module):
        size, eps = norm.weight.size(0), norm.variance_epsilon
        self.margin = norm.weight.new_full((1, 1), math.sqrt(size * eps))

    def scale(self, norm: nn.Module) -> torch.Tensor:
        """What a norm multiplies by, (H,)."""
        return norm.weight.data * math.sqrt(norm.weight.size(0))

    def __call__(
        self, wide: torch.Tensor, rows: torch.Tensor, scale: torch.Tensor
    ) -> torch.Tensor:
        """Divide by the root mean square and scale.

        Args:
            wide: Features and margin, (rows, H + margin).
            rows: Its features, (rows, H).
            scale: From :meth:`scale`.

        Returns:
            (rows, H).
        """
        length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        return rows.div(length).mul_(scale)


class FusedRowNorm(RowNorm):
    """The same by the library, one call on a GPU and for all types."""

    def __init__(self, norm: nn.Module):
        self.eps = norm.variance_epsilon
        self.margin = norm.weight.new_empty(1, 0)

    def scale(self, norm):
        """See :meth:`RowNorm.scale`."""
        return norm.weight.data

    def __call__(self, wide, rows, scale):
        """See :meth:`RowNorm.__call__`."""
        return functional.rms_norm(rows, scale.shape, scale, self.eps)


def row_norm(norm: nn.Module) -> RowNorm:
    """The faster way for a norm's device and type."""
    simple = norm.weight.dtype == torch.float32 and not norm.weight.is_cuda
    return RowNorm(norm) if simple else FusedRowNorm(norm)


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

    attention_norm: torch.Tensor
    qkv: PackedLinear
    out: PackedLinear
    feed_forward_norm: torch.Tensor
    gate_up: PackedLinear
    down: PackedLinear
    activation: Callable[[torch.Tensor], torch.Tensor]

    @classmethod
    def of(cls, layer: nn.Module, norm: RowNorm) -> "LlamaLayer":
        """Rearrange a decoder layer of the model."""
        attention, mlp = layer.self_attn, layer.mlp
        return cls(
            norm.scale(layer.input_layernorm),
            PackedLinear(attention.q_proj, attention.k_proj, attention.v_proj),
            PackedLinear(attention.o_proj),
            norm.scale(layer.post_attention_layernorm),
            PackedLinear(mlp.gate_proj, mlp.up_proj),
            PackedLinear(mlp.down_proj),
            mlp.act_fn,
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
        self.norm = row_norm(model.norm)
        self.layers = [LlamaLayer.of(layer, self.norm) for layer in model.layers]
        self.last_norm = self.norm.scale(model.norm)
        self.rotary = model.rotary_emb
        self.half_turn = self._half_turn()
        PackedLinear(lm.get_output_embeddings())  # the model itself uses it

    def _half_turn(self) -> torch.Tensor:
        """Which feature the rotation adds to each, ((A + 2 G) E,)."""
        features = torch.arange((self.heads + 2 * self.kv_heads) * self.head_size)
        turned = features.view(-1, self.head_size).roll(self.head_size // 2, -1)
        return turned.flatten().to(self.last_norm.device)

    def angles(self, count: int) -> torch.Tensor:
        """Rotations of positions 0 .. count - 1.

        Args:
            count: Positions.

        Returns:
            Cosines, and sines with the sign that a half-turn of the features asks
            for, (count, 2, 1, E).
        """
        positions = torch.arange(count, device=self.last_norm.device)[None]
        cos, sin = self.rotary(self.last_norm, positions)  # (1, count, E)
        first, second = sin[0].chunk(2, dim=-1)
        signed = torch.cat([-first, second], dim=-1)
        return torch.stack([cos[0], signed], dim=1)[:, :, None]

    def rotation(self, angles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Spread angles over heads, with none for the values.

        Args:
            angles: Of each row or of all, (rows, 2, 1, E) or (1, 2, 1, E).

        Returns:
            Cosines and sines, each (rows, (A + 2 G) E).
        """
        turned = angles.expand(-1, -1, self.heads + self.kv_heads, -1)
        still = angles.new_zeros(len(angles), 2, self.kv_heads, self.head_size)
        still[:, 0] = 1.0
        cos, sin = torch.cat([turned, still], dim=2).flatten(2).unbind(1)
        return cos, sin

    def run(self, x: torch.Tensor, rotation, attend, asked) -> tuple[torch.Tensor, ...]:
        """All layers.

        Args:
            x: Embedded rows, (rows, H).
            rotation: From :meth:`rotation`.
            attend: Called with the layer's index, queries (rows, A E) and keys with
                values (rows, 2 G E); returns (rows, A E).
            asked: Hidden states to return, 0 the embeddings.

        Returns:
            The states asked for, then the one after the final norm, each (rows, H).
        """
        (cos, sin), normalize, states = rotation, self.norm, {}
        sizes = [self.heads * self.head_size, 2 * self.kv_heads * self.head_size]
        wide = torch.cat([x, self.norm.margin.expand(len(x), -1)], dim=1)
        total = wide[:, : x.size(1)]  # the layers add to it
        for index, layer in enumerate(self.layers):
            if index in asked:
                states[index] = total.clone()
            heads = layer.qkv(normalize(wide, total, layer.attention_norm))
            other = heads.index_select(1, self.half_turn)
            turned = torch.addcmul(heads * cos, other, sin)
            context = attend(index, *turned.split_with_sizes(sizes, dim=1))
            layer.out.add(context, total)
            both = layer.gate_up(normalize(wide, total, layer.feed_forward_norm))
            gate, up = both.chunk(2, dim=1)
            layer.down.add(layer.activation(gate).mul_(up), total)
        last = states[len(self.layers)] = normalize(wide, total, self.last_norm)
        return (*(states[index] for index in asked), last)
