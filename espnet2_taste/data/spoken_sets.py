"""Tokenized sets: words with their codes, read when they are asked for.

Enters: a folder with ``words`` and ``codes.scp`` (stage 9). Leaves: words and codes by
utterance id. Legend: W words, Q codebooks.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from espnet2_taste.data.arks import ArkTable
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.structures import WordCodes


class SpokenSet(Mapping[str, WordCodes]):
    """A tokenized set; each utterance is read when it is asked for.

    Args:
        folder: With ``words`` and ``codes.scp`` (stage 9, ``espnet2-taste tokenize``).

    Raises:
        ValueError: A file is missing.
    """

    def __init__(self, folder: Path):
        remedy = "run stage 9 first, or espnet2-taste tokenize"
        self.codes = ArkTable(Path(folder) / "codes.scp", remedy)
        self._words = read_table(Path(folder) / "words")

    def __iter__(self) -> Iterator[str]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)

    def __getitem__(self, name: str) -> WordCodes:
        """Words (W,) with codes (W, Q) of an utterance.

        Raises:
            KeyError: The set has no such utterance.
            ValueError: It has no codes, or they are no codes of its words.
        """
        words = tuple(self._words[name].split())
        if name not in self.codes:
            raise ValueError(
                f"utterance '{name}': it is in words, but not in {self.codes.scp}; "
                "tokenize the set again (stage 9)"
            )
        found = self.codes[name]
        codes = found.astype(np.int64)
        if codes.ndim != 2 or (codes < 0).any() or (codes != found).any():
            raise ValueError(
                f"utterance '{name}': {self.codes.scp} holds values of shape "
                f"{found.shape} that are no codes, expected whole numbers from 0 (W, Q)"
            )
        if len(words) != len(codes):
            raise ValueError(
                f"utterance '{name}': {len(words)} words with {len(codes)} rows of "
                "codes; tokenize the set again (stage 9)"
            )
        return WordCodes(words, codes)


def read_spoken_words(folder: Path) -> SpokenSet:
    """A tokenized set of which every utterance is wanted.

    Args:
        folder: With ``words`` and ``codes.scp`` (stage 9).

    Returns:
        Words and codes by utterance id.

    Raises:
        ValueError: A file is missing or they name different utterances.
    """
    spoken = SpokenSet(folder)
    different = sorted(set(spoken) ^ set(spoken.codes))
    if different:
        raise ValueError(
            f"{folder}: '{different[0]}' and {len(different) - 1} more are in only one "
            "of words and codes.scp: tokenize the set again (stage 9)"
        )
    return spoken
