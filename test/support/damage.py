"""Files as they arrive after an accident: bytes changed, cut off, doubled."""

from collections.abc import Iterator

import numpy as np


def damaged(whole: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Copies of a file with random damage.

    Args:
        whole: The file.
        count: How many copies.
        seed: Of the damage.

    Yields:
        One copy after the other.
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        copy = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            place = int(rng.integers(len(copy)))
            kind = rng.integers(4)
            if kind == 0:
                copy[place] = rng.integers(256)
            elif kind == 1:
                copy[place] = rng.choice(np.frombuffer(b"\0\t\n :-[]{}&*!|%\"'", "u1"))
            elif kind == 2:
                del copy[max(1, place) :]
            else:
                copy[place:place] = copy[place : place + int(rng.integers(1, 40))]
        yield bytes(copy)
