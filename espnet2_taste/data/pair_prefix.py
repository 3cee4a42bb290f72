"""How much of a pair of utterances is one and the same beginning.

Enters: a set with ``pairs.tsv``, ``text``, word times and recordings. Leaves: the words
that both members share, counted from the beginning. Where the texts differ, it is the
words that tell the members apart; where they do not, it is the sound, and a word is
shared if most of it lies before the first sample that differs.
"""

from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np

from espnet2_taste.data.audio import read_audio
from espnet2_taste.data.ctm import read_ctm, read_rows
from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.structures import WordTiming


def shared_seconds(first: tuple[np.ndarray, int], second: tuple[np.ndarray, int]):
    """Seconds before the first sample that differs.

    Args:
        first: Samples (T,) and their rate.
        second: Likewise.

    Returns:
        Seconds; 0 where the rates differ.
    """
    (one, rate), (other, other_rate) = first, second
    if rate != other_rate:
        return 0.0
    size = min(len(one), len(other))
    different = np.flatnonzero(one[:size] != other[:size])
    return (int(different[0]) if len(different) else size) / rate


def shared_words(
    texts: Sequence[str], seconds: float, words: Sequence[WordTiming]
) -> int:
    """Words of the common beginning.

    Args:
        texts: Of both members.
        seconds: Of :func:`shared_seconds`.
        words: Times of the words of one of them.

    Returns:
        At least 0, and fewer than either member has.
    """
    first, second = (text.split() for text in texts)
    most = min(len(first), len(second)) - 1
    if first == second:
        count = sum((word.start + word.end) / 2 < seconds for word in words)
    else:
        same = (a == b for a, b in zip(first, second))
        count = next((n for n, equal in enumerate(same) if not equal), most)
    return max(min(count, most), 0)


def read_shared_words(folder: Path, ctm: str, wanted: Container[str]) -> dict[str, int]:
    """Shared words of the members of a set's pairs.

    Args:
        folder: The set.
        ctm: File with word times.
        wanted: Utterances; pairs of others are left out.

    Returns:
        Words by utterance id; pairs of which a text, a recording or the word times are
        missing are not there.

    Raises:
        ValueError: A file is missing.
    """
    texts, wavs = read_table(folder / "text"), read_table(folder / "wav.scp")
    times = read_ctm(folder / ctm)
    result = {}
    for row in read_rows(folder / "pairs.tsv"):
        names = (row["positive"], row["negative"])
        known = all(n in table for n in names for table in (texts, wavs, times))
        if not known or not any(name in wanted for name in names):
            continue
        one, other = (read_audio(wavs[name]) for name in names)
        seconds = shared_seconds(one, other)
        both = [texts[name] for name in names]
        result |= dict.fromkeys(names, shared_words(both, seconds, times[names[0]]))
    return result
