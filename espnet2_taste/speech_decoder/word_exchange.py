"""Vectors of other words: what a claim that vectors help has to stand beside.

Enters: TASTE vectors (B, N, D) with the word of each token. Leaves: the same vectors at
other words of their utterance, so that speaker and average are as they were.

Legend: B utterances, N text tokens, W words, D features.
"""

import zlib
from collections.abc import Sequence

import numpy as np
import torch

from espnet2_taste.tokenizer.word_pooling import word_means, word_starts


def other_words(name: str, words: int, seed: int) -> np.ndarray:
    """For each word another one of its utterance, all of them once.

    Args:
        name: Utterance id; with the seed, all that the choice depends on.
        words: W.
        seed: See ``name``.

    Returns:
        Indices (W,), none of them its own place unless there is but one word.

    Example:
        >>> sorted(other_words("a", 3, 0).tolist())
        [0, 1, 2]
    """
    rng = np.random.default_rng([seed, zlib.crc32(name.encode("utf-8"))])
    circle = rng.permutation(words)
    order = np.empty(words, dtype=np.int64)
    order[circle] = np.roll(circle, 1)
    return order


def exchange_words(
    taste: torch.Tensor, word_ids: torch.Tensor, names: Sequence[str], seed: int
) -> torch.Tensor:
    """Give each word the vector of another word of its utterance.

    Args:
        taste: (B, N, D); a word whose tokens differ counts with their mean.
        word_ids: -1 at padding, (B, N).
        names: B utterance ids.
        seed: Of the choice.

    Returns:
        (B, N, D), zeros at padding.
    """
    vectors, starts = word_means(taste, word_ids), word_starts(word_ids)
    exchanged = torch.zeros_like(taste)
    for row, name in enumerate(names):
        words = vectors[row, starts[row]]  # (W, D)
        order = torch.from_numpy(other_words(name, len(words), seed))
        spoken = word_ids[row] >= 0
        exchanged[row, spoken] = words[order.to(words.device)][word_ids[row, spoken]]
    return exchanged
