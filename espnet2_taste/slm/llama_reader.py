"""Rows through a Llama for generation, with keys and values in reserved buffers.

Enters: embedded prompts and rows. Leaves: the hidden states that the model's own
forward pass gives, up to rounding; see :mod:`espnet2_taste.slm.llama_stack`.

Legend: B prompts under way, P rows of the longest prompt, H hidden size, A attention
heads, G heads of keys and values, E features of a head.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from espnet2_taste.slm.backbone import AbsBackbone
from espnet2_taste.slm.llama_stack import LlamaStack, is_plain_llama
from espnet2_taste.slm.row_readers import AbsRowReader, HuggingFaceReader

ROOM = 64
"""Columns reserved beyond the prompt."""


class LlamaReader(AbsRowReader):
    """Reads one batch of prompts and what follows them.

    Args:
        stack: The model.
        layers: Hidden states to return, 0 the embeddings.
    """

    def __init__(self, stack: LlamaStack, layers: Sequence[int]):
        self.stack = stack
        self.asked = tuple(layers)

    def threads(self):
        """See :meth:`AbsRowReader.threads`."""
        return self.stack.arithmetic.threads()

    def start(self, inputs, lengths):
        """See :meth:`AbsRowReader.start`."""
        stack, (batch, rows, _) = self.stack, inputs.shape
        inputs = inputs.to(stack.like.dtype)
        self.batch, self.column, self.lengths = batch, rows, lengths
        size = 2 * stack.kv_heads * stack.head_size
        self.cache = inputs.new_empty(len(stack.layers), batch, 0, size)
        self.bias = self._hidden_padding(inputs)
        self._reserve(rows + ROOM)
        rotation = stack.rotation(self.angles[:rows].repeat(batch, 1, 1, 1))
        states = self._run(inputs.flatten(0, 1), rotation, self._read_prompt)
        ends = torch.arange(batch, device=lengths.device) * rows + lengths - 1
        return tuple(state[ends] for state in states)

    def _run(self, rows: torch.Tensor, rotation, attend) -> tuple[torch.Tensor, ...]:
        """States asked for and the last one, of rows (rows, H)."""
        arithmetic = self.stack.arithmetic
        states = self.stack.run(arithmetic.array(rows), rotation, attend, self.asked)
        return tuple(arithmetic.tensor(state).float() for state in states)

    def read(self, row):
        """See :meth:`AbsRowReader.read`."""
        if self.column == self.cache.size(2):
            self._reserve(2 * self.column)
        here = slice(self.column, self.column + 1)
        rotation = self.stack.rotation(
            self.angles[here if self.bias is None else self.lengths]
        )
        row = row.to(self.stack.like.dtype)
        states = self._run(row, rotation, self._column_reader())
        self.column += 1
        self.lengths = self.lengths + 1
        return states

    def logits(self, last):
        """See :meth:`AbsRowReader.logits`."""
        arithmetic = self.stack.arithmetic
        rows = arithmetic.array(last.to(self.stack.like.dtype))
        return arithmetic.tensor(self.stack.logits(rows)).float()

    def select(self, kept):
        """See :meth:`AbsRowReader.select`."""
        self.batch = len(kept)
        self.cache = self.cache[:, kept]
        self.lengths = self.lengths[kept]
        self.bias = None if self.bias is None else self.bias[kept]

    def _hidden_padding(self, inputs: torch.Tensor) -> torch.Tensor | None:
        """Minus infinity where prompts are padded, (B, 1, 1, P), None if none is."""
        if bool((self.lengths == self.column).all()):
            return None
        columns = torch.arange(self.column, device=inputs.device)
        padding = columns >= self.lengths[:, None]
        bias = inputs.new_zeros(padding.shape)
        return bias.masked_fill(padding, float("-inf"))[:, None, None]

    def _reserve(self, columns: int) -> None:
        """Reserve so many columns."""
        extra = columns - self.cache.size(2)
        self.cache = functional.pad(self.cache, (0, 0, 0, extra))
        if self.bias is not None:
            self.bias = functional.pad(self.bias, (0, columns - self.bias.size(-1)))
        self.angles = self.stack.angles(columns)

    def _filled(self, end: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of the first columns, each (layers, B, G, end, E)."""
        heads = (2, self.stack.kv_heads, self.stack.head_size)
        filled = self.cache[:, :, :end].unflatten(-1, heads)
        keys, values = filled.permute(3, 0, 1, 4, 2, 5).unbind(0)
        return keys, values

    def _read_prompt(self, index: int, query: Any, both: Any) -> Any:
        """Attention of whole prompts, (B P, A E), (B P, 2 G E) -> (B P, A E)."""
        stack, rows = self.stack, (self.batch, self.column)
        query = stack.arithmetic.tensor(query)
        query = query.reshape(*rows, stack.heads, stack.head_size)
        both = stack.arithmetic.tensor(both)
        self.cache[index, :, : self.column] = both.reshape(*rows, -1)
        keys, values = self._filled(self.column)
        context = functional.scaled_dot_product_attention(
            query.transpose(1, 2),  # (B, A, P, E)
            keys[index],
            values[index],
            is_causal=True,
            scale=stack.scale,
            enable_gqa=True,
        )
        context = context.transpose(1, 2).reshape(self.batch * self.column, -1)
        return stack.arithmetic.array(context)

    def _column_reader(self) -> Callable[..., Any]:
        """Attention of one row each, (B, A E), (B, 2 G E) -> (B, A E)."""
        stack, end = self.stack, self.column + 1
        rows = stack.arithmetic
        columns = rows.array(self.cache.select(2, self.column))  # (layers, B, 2 G E)
        keys, values = (rows.array(part) for part in self._filled(end))
        heads = (self.batch, stack.kv_heads, -1, stack.head_size)
        bias = None if self.bias is None else rows.array(self.bias[..., :end])

        def attend(index: int, query: Any, both: Any) -> Any:
            columns[index] = both
            context = rows.attend(
                query.reshape(heads),  # heads that share keys stand as rows
                keys[index],
                values[index],
                bias,
                stack.scale,
            )
            return context.reshape(self.batch, -1)

        return attend


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
