"""States of frozen networks on utterances already seen, kept in memory.

Enters: states of batches with their utterance ids. Leaves: the same states for any
later batch of known utterances. Legend: B utterances, F frames, D features.

The encoder is frozen and an utterance's states do not depend on its batch, so from
the second epoch on a training needs no encoder at all. What is learned on top, such as
a mix of layers, comes behind the cache: the values of all its layers are kept side by
side and take as many times the memory.
"""

from collections.abc import Hashable, Sequence

import torch
from torch.nn.utils.rnn import pad_sequence

from espnet2_taste.structures import EncoderStates

BYTES_PER_MB = 2**20


class StateCache:
    """Tensors by utterance.

    Args:
        limit_mb: Memory it may take; what no longer fits is not kept.

    Example:
        >>> cache = StateCache(1)
        >>> cache.keep("utt", torch.ones(3, 2))
        >>> cache.find(["utt"])[0][0].shape, cache.find(["utt", "new"])
        (torch.Size([3, 2]), None)
    """

    def __init__(self, limit_mb: int):
        self.free = limit_mb * BYTES_PER_MB
        self.states: dict[Hashable, tuple[torch.Tensor, ...]] = {}

    def find(self, names: Sequence[Hashable]) -> list[tuple[torch.Tensor, ...]] | None:
        """Tensors of all these utterances; None when one is unknown."""
        if not all(name in self.states for name in names):
            return None
        return [self.states[name] for name in names]

    def keep(self, name: Hashable, *tensors: torch.Tensor) -> None:
        """Remember an utterance, if it fits."""
        size = sum(x.numel() * x.element_size() for x in tensors)
        if name not in self.states and size <= self.free:
            self.states[name] = tuple(x.detach().cpu().clone() for x in tensors)
            self.free -= size


class EncoderStateCache(StateCache):
    """Keys and values of a speech encoder by utterance.

    Args:
        limit_mb: See ``StateCache``.

    Example:
        >>> cache = EncoderStateCache(1)
        >>> states = EncoderStates(torch.ones(1, 3, 2), torch.ones(1, 3, 2),
        ...                        torch.tensor([3]))
        >>> cache.put([("utt", 480)], states)
        >>> cache.get([("utt", 480)], "cpu").keys.shape
        torch.Size([1, 3, 2])
    """

    def get(
        self, names: Sequence[tuple[str, int]], device: torch.device | str
    ) -> EncoderStates | None:
        """States of a batch.

        Args:
            names: Utterance ids with their samples, B of them.
            device: Where the states are wanted.

        Returns:
            Keys and values (B, F, D), zeros at padding; None when one is unknown.
        """
        found = self.find(names)
        if found is None:
            return None
        keys, values = zip(*found)
        lengths = torch.tensor([len(key) for key in keys], device=device)
        return EncoderStates(
            pad_sequence(keys, batch_first=True).to(device),
            pad_sequence(values, batch_first=True).to(device),
            lengths,
        )

    def put(self, names: Sequence[tuple[str, int]], states: EncoderStates) -> None:
        """Remember a batch, as far as it fits.

        Args:
            names: Utterance ids with their samples, B of them.
            states: Their states.
        """
        for row, (name, length) in enumerate(zip(names, states.lengths.tolist())):
            self.keep(name, states.keys[row, :length], states.values[row, :length])
