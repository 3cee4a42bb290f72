"""Rows through a Llama with as few calls as possible, for generation.

Enters: a Hugging Face causal LM of the Llama family without adapters in its way; then
embedded prompts and rows. Leaves: the hidden states that the model's own forward pass
gives, up to rounding. One token costs little more than reading the weights once:

- queries, keys and values are one product, gate and up-projection another;
- weights lie inputs first, as the product with a single row reads them fastest;
- keys and values go into buffers that were reserved before.

The model keeps views of the rearranged weights: nothing exists twice, and its own
forward pass works as before.

Legend: B prompts under way, P rows of the longest prompt, T rows read at once, C
columns of the cache, H hidden size, A attention heads, G heads of keys and values, E
features of a head.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from espnet2_taste.slm.backbone import AbsBackbone
from espnet2_taste.slm.row_readers import AbsRowReader, HuggingFaceReader

MODEL_TYPES = ("llama", "mistral", "qwen2")
ROPE_TYPES = ("default", "linear", "llama3", "yarn")
"""Those whose angles do not depend on the length of the text."""
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
FEED_FORWARD = ("gate_proj", "up_proj", "down_proj")
ROOM = 64
"""Columns reserved beyond the prompt."""


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
    return (
        all(type(linear) is nn.Linear for linear in linears)
        and getattr(config, "sliding_window", None) is None
        and lm.base_model.rotary_emb.rope_type in ROPE_TYPES
    )


class PackedLinear:
    """Linear layers with the same input as one product.

    Their weights move into one tensor, inputs first, of which they keep views.

    Args:
        layers: Layers, in the order of their outputs.
    """

    def __init__(self, *layers: nn.Linear):
        sizes = [layer.out_features for layer in layers]
        weights = [layer.weight.data for layer in layers]
        if not _adjacent(weights):
            joined = torch.cat([weight.t() for weight in weights], dim=1)
            for layer, part in zip(layers, joined.split(sizes, dim=1)):
                layer.weight.data = part.t()
        shape, strides = (layers[0].in_features, sum(sizes)), (sum(sizes), 1)
        first = layers[0].weight.data
        self.weight = first.as_strided(shape, strides)  # (in, out)
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

    def add(self, x: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """(rows, in), (rows, out) -> (rows, out), the sum of product and residual."""
        added = torch.addmm(residual, x, self.weight)
        return added if self.bias is None else added + self.bias


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
        attention_norm: (H,).
        qkv: H -> (A + 2 G) E.
        out: A E -> H.
        feed_forward_norm: (H,).
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
    def of(cls, layer: nn.Module) -> "LlamaLayer":
        """Rearrange a decoder layer of the model."""
        attention, mlp = layer.self_attn, layer.mlp
        return cls(
            layer.input_layernorm.weight.data,
            PackedLinear(attention.q_proj, attention.k_proj, attention.v_proj),
            PackedLinear(attention.o_proj),
            layer.post_attention_layernorm.weight.data,
            PackedLinear(mlp.gate_proj, mlp.up_proj),
            PackedLinear(mlp.down_proj),
            mlp.act_fn,
        )


def rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: torch.Tensor) -> torch.Tensor:
    """Divide by the root mean square and scale; in fewer calls than the library's.

    Args:
        x: (rows, H), float32.
        weight: (H,).
        eps: Added to the mean square; a tensor, for numbers cost a conversion a call.

    Returns:
        (rows, H).
    """
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    mean_square = torch.addcmul(eps, length, length, value=1.0 / x.size(-1))
    return (x * mean_square.rsqrt_()).mul_(weight)


def fused_rms_norm(x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """The same by the library, one call on a GPU and for all types."""
    return functional.rms_norm(x, weight.shape, weight, eps)


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
        self.layers = [LlamaLayer.of(layer) for layer in model.layers]
        self.norm = model.norm.weight.data
        self.rotary = model.rotary_emb
        eps = model.norm.variance_epsilon
        self.normalize = partial(fused_rms_norm, eps=eps)
        if self.norm.dtype == torch.float32 and not self.norm.is_cuda:
            self.normalize = partial(rms_norm, eps=torch.tensor(eps))

    def angles(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Rotations of positions 0 .. count - 1.

        Args:
            count: Positions.

        Returns:
            Cosines, and sines with the sign that a half-turn of the features asks
            for, each (count, 1, E).
        """
        positions = torch.arange(count, device=self.norm.device)[None]
        cos, sin = self.rotary(self.norm, positions)  # (1, count, E)
        first, second = sin[0].chunk(2, dim=-1)
        return cos[0, :, None], torch.cat([-first, second], dim=-1)[:, None]

    def rotation(self, cos: torch.Tensor, sin: torch.Tensor):
        """Spread angles over heads, with none for the values.

        Args:
            cos: (rows, 1, E) or (1, 1, E).
            sin: Likewise.

        Returns:
            Both as (rows, A + 2 G, E).
        """
        rows, turned = len(cos), self.heads + self.kv_heads
        values = (rows, self.kv_heads, self.head_size)
        return (
            torch.cat([cos.expand(-1, turned, -1), cos.new_ones(values)], dim=1),
            torch.cat([sin.expand(-1, turned, -1), sin.new_zeros(values)], dim=1),
        )

    def run(self, x: torch.Tensor, rotation, attend) -> list[torch.Tensor]:
        """All layers.

        Args:
            x: Embedded rows, (rows, H).
            rotation: From :meth:`rotation`.
            attend: Called with the layer's index, queries (rows, A, E) and keys with
                values (rows, 2 G, E); returns (rows, A E).

        Returns:
            Input of each layer, then the state after the final norm, each (rows, H).
        """
        (cos, sin), half = rotation, self.head_size // 2
        shape = (x.size(0), -1, self.head_size)
        normalize, states = self.normalize, []
        sizes = (self.heads, 2 * self.kv_heads)
        for index, layer in enumerate(self.layers):
            states.append(x)
            heads = layer.qkv(normalize(x, layer.attention_norm)).view(shape)
            turned = torch.addcmul(heads * cos, heads.roll(half, -1), sin)
            context = attend(index, *turned.split_with_sizes(sizes, dim=1))
            x = layer.out.add(context, x)
            both = layer.gate_up(normalize(x, layer.feed_forward_norm))
            gate, up = both.chunk(2, dim=-1)
            x = layer.down.add(layer.activation(gate) * up, x)
        return [*states, normalize(x, self.norm)]


class LlamaReader(AbsRowReader):
    """Reads one batch of prompts and what follows them.

    Args:
        stack: The model.
        layers: Hidden states to return, 0 the embeddings.
    """

    def __init__(self, stack: LlamaStack, layers: Sequence[int]):
        self.stack = stack
        self.asked = tuple(layers)

    def start(self, inputs, lengths):
        """See :meth:`AbsRowReader.start`."""
        stack, (batch, rows, _) = self.stack, inputs.shape
        inputs = inputs.to(stack.norm.dtype)
        self.batch, self.column, self.lengths = batch, rows, lengths
        shape = (batch, 2 * stack.kv_heads, 0, stack.head_size)
        self.cache = [inputs.new_empty(shape) for _ in stack.layers]
        self.bias = self._hidden_padding(inputs)
        self._reserve(rows + ROOM)
        rotation = stack.rotation(
            *(wave[:rows].repeat(batch, 1, 1) for wave in self.angles)
        )
        states = stack.run(inputs.flatten(0, 1), rotation, self._read_prompt)
        ends = torch.arange(batch, device=lengths.device) * rows + lengths - 1
        return tuple(state[ends] for state in self._asked(states))

    def read(self, row):
        """See :meth:`AbsRowReader.read`."""
        if self.column == self.cache[0].size(2):
            self._reserve(2 * self.column)
        here = slice(self.column, self.column + 1)
        if self.bias is not None:
            here = self.lengths
        rotation = self.stack.rotation(*(wave[here] for wave in self.angles))
        row = row.to(self.stack.norm.dtype)
        states = self.stack.run(row, rotation, self._read_column)
        self.column += 1
        self.lengths = self.lengths + 1
        return self._asked(states)

    def select(self, kept):
        """See :meth:`AbsRowReader.select`."""
        self.batch = len(kept)
        self.cache = [both[kept] for both in self.cache]
        self.lengths = self.lengths[kept]
        self.bias = None if self.bias is None else self.bias[kept]

    def _asked(self, states: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        return (*(states[index] for index in self.asked), states[-1])

    def _hidden_padding(self, inputs: torch.Tensor) -> torch.Tensor | None:
        """Minus infinity where prompts are padded, (B, 1, 1, P), None if none is."""
        if bool((self.lengths == self.column).all()):
            return None
        columns = torch.arange(self.column, device=inputs.device)
        padding = columns >= self.lengths[:, None]
        bias = inputs.new_zeros(padding.shape)
        return bias.masked_fill(padding, float("-inf"))[:, None, None]

    def _reserve(self, columns: int) -> None:
        """Make room for so many columns."""
        extra = columns - self.cache[0].size(2)
        self.cache = [functional.pad(both, (0, 0, 0, extra)) for both in self.cache]
        if self.bias is not None:
            self.bias = functional.pad(self.bias, (0, columns - self.bias.size(-1)))
        self.angles = self.stack.angles(columns)

    def _read_prompt(self, index: int, query: torch.Tensor, both: torch.Tensor):
        """Attention of whole prompts, (B P, A, E), (B P, 2 G, E) -> (B P, A E)."""
        rows = (self.batch, self.column)
        query = query.unflatten(0, rows).transpose(1, 2)  # (B, A, P, E)
        both = both.unflatten(0, rows).transpose(1, 2)  # (B, 2 G, P, E)
        self.cache[index][:, :, : self.column] = both
        context = functional.scaled_dot_product_attention(
            query,
            *both.chunk(2, dim=1),
            is_causal=True,
            scale=self.stack.scale,
            enable_gqa=True,
        )
        return context.transpose(1, 2).reshape(self.batch * self.column, -1)

    def _read_column(self, index: int, query: torch.Tensor, both: torch.Tensor):
        """Attention of one row each, (B, A, E), (B, 2 G, E) -> (B, A E)."""
        cache, end = self.cache[index], self.column + 1
        cache.select(2, self.column).copy_(both)
        keys, values = cache.narrow(2, 0, end).chunk(2, dim=1)
        heads = (self.batch, self.stack.kv_heads, -1, self.stack.head_size)
        context = functional.scaled_dot_product_attention(
            query.reshape(heads),  # heads that share keys stand as rows
            keys,
            values,
            attn_mask=None if self.bias is None else self.bias[..., :end],
            scale=self.stack.scale,
        )
        return context.reshape(self.batch, -1)


def reader_maker(
    backbone: AbsBackbone, layers: Sequence[int]
) -> Callable[[], AbsRowReader]:
    """Prepare a text LM for generation, once for any number of batches.

    Args:
        backbone: The adapted text LM in evaluation mode; see ``AbsBackbone.merged``.
        layers: Hidden states that the readers return, 0 the embeddings.

    Returns:
        Call it for the reader of a new batch.
    """
    if is_plain_llama(backbone.causal_lm):
        stack = LlamaStack(backbone.causal_lm)
        return lambda: LlamaReader(stack, layers)
    return lambda: HuggingFaceReader(backbone, layers)
