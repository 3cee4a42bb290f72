"""Arithmetic of a few rows, by torch or by NumPy.

Enters and leaves: rows as arrays of the class's own kind, (rows, features). With a
handful of rows a language model spends its time on reading weights and on calls.
NumPy is the faster of the two for that on a CPU: its library reads a matrix for one
row in three quarters of torch's time and for eight in half, and its calls cost less.

Legend: H hidden size, B prompts, A attention heads, G heads of keys and values, R
queries that share a head of keys (A / G), T rows read so far, E features of a head.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch.nn import functional


class AbsRowArithmetic(ABC):
    """What a language model does with rows.

    Args:
        eps: Added to mean squares by :meth:`norm`.
    """

    def __init__(self, eps: float = 0.0):
        self.eps = eps

    @abstractmethod
    def array(self, tensor: torch.Tensor) -> Any:
        """A tensor's memory as an array of this kind."""

    @abstractmethod
    def tensor(self, array: Any) -> torch.Tensor:
        """An array's memory as a tensor."""

    @abstractmethod
    def empty(self, like: torch.Tensor, *shape: int) -> torch.Tensor:
        """A new tensor of a type and device, where this arithmetic reads it best."""

    @abstractmethod
    def product(self, rows: Any, weight: Any) -> Any:
        """(rows, in) x (in, out) -> (rows, out)."""

    @abstractmethod
    def norm(self, rows: Any, scale: Any) -> Any:
        """Divide (rows, H) by their root mean squares and multiply by a scale (H,)."""

    @abstractmethod
    def columns(self, rows: Any, index: Any) -> Any:
        """Columns in another order, (rows, N) -> (rows, len(index))."""

    def threads(self) -> AbstractContextManager:
        """Within it torch leaves the processor to this arithmetic."""
        return nullcontext()

    @abstractmethod
    def attend(
        self, query: Any, keys: Any, values: Any, bias: Any, scale: float
    ) -> Any:
        """Attention of one row a prompt.

        Args:
            query: (B, G, R, E).
            keys: (B, G, T, E).
            values: (B, G, T, E).
            bias: Added to the scores, (B, 1, 1, T), or None.
            scale: Of the scores.

        Returns:
            (B, G, R, E).
        """

    def activation(
        self, name: str, function: Callable[[torch.Tensor], torch.Tensor]
    ) -> Callable[[Any], Any]:
        """A function of rows, element by element.

        Args:
            name: As configurations call it, e.g. "silu".
            function: The same of tensors.

        Returns:
            The function of arrays of this kind.
        """
        return lambda rows: self.array(function(self.tensor(rows)))


class TorchArithmetic(AbsRowArithmetic):
    """By torch: any device and type."""

    def array(self, tensor):
        """See :meth:`AbsRowArithmetic.array`."""
        return tensor

    def tensor(self, array):
        """See :meth:`AbsRowArithmetic.tensor`."""
        return array

    def empty(self, like, *shape):
        """See :meth:`AbsRowArithmetic.empty`."""
        return like.new_empty(shape)

    def product(self, rows, weight):
        """See :meth:`AbsRowArithmetic.product`."""
        return torch.mm(rows, weight)

    def norm(self, rows, scale):
        """See :meth:`AbsRowArithmetic.norm`."""
        return functional.rms_norm(rows, scale.shape, scale, self.eps)

    def columns(self, rows, index):
        """See :meth:`AbsRowArithmetic.columns`."""
        return rows.index_select(1, index)

    def attend(self, query, keys, values, bias, scale):
        """See :meth:`AbsRowArithmetic.attend`."""
        return functional.scaled_dot_product_attention(
            query, keys, values, attn_mask=bias, scale=scale
        )


class NumpyArithmetic(AbsRowArithmetic):
    """By NumPy: float32 on a CPU.

    NumPy has threads of its own. Those of torch go on spinning for a while after each
    operation that used them; on a small machine the two keep each other waiting.
    """

    @contextmanager
    def threads(self):
        """See :meth:`AbsRowArithmetic.threads`: torch works with one thread."""
        count = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(count)

    def array(self, tensor):
        """See :meth:`AbsRowArithmetic.array`."""
        return tensor.detach().numpy()

    def tensor(self, array):
        """See :meth:`AbsRowArithmetic.tensor`."""
        return torch.from_numpy(array)

    def empty(self, like, *shape):
        """See :meth:`AbsRowArithmetic.empty`: NumPy asks the system for large pages."""
        return torch.from_numpy(np.empty(shape, dtype=np.float32))

    def product(self, rows, weight):
        """See :meth:`AbsRowArithmetic.product`."""
        if len(rows) == 1:  # a vector times a matrix has a way of its own
            return (rows[0] @ weight)[None]
        return rows @ weight

    def norm(self, rows, scale):
        """See :meth:`AbsRowArithmetic.norm`."""
        squares = np.vecdot(rows, rows)[:, None] / rows.shape[1]
        return rows * (scale / np.sqrt(squares + self.eps))

    def columns(self, rows, index):
        """See :meth:`AbsRowArithmetic.columns`."""
        return rows.take(index, axis=1)

    def activation(self, name, function):
        """See :meth:`AbsRowArithmetic.activation`."""
        if name == "silu":  # the one of Llamas, in fewer calls
            return _silu
        return super().activation(name, function)

    def attend(self, query, keys, values, bias, scale):
        """See :meth:`AbsRowArithmetic.attend`."""
        scores = np.matmul(query * scale, keys.swapaxes(-1, -2))  # (B, G, R, T)
        if bias is not None:
            scores += bias
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        return np.matmul(scores, values)


def _silu(rows: np.ndarray) -> np.ndarray:
    """x sigmoid(x); below -80 it is zero in float32, and exp would overflow."""
    return rows / (1.0 + np.exp(np.minimum(-rows, 80.0)))


def row_arithmetic(weight: torch.Tensor, eps: float = 0.0) -> AbsRowArithmetic:
    """The faster way for the device and type of a model's weights."""
    simple = weight.dtype == torch.float32 and weight.device.type == "cpu"
    return NumpyArithmetic(eps) if simple else TorchArithmetic(eps)
