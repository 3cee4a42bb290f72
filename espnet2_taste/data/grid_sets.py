"""Sets of a dump directory as the fields of their utterances.

Enters: a Kaldi-style folder with ``text`` and what else there is of ``units``, ``ctm``,
``pitch_tokens``, ``style_tokens``. Leaves: what the preprocessor reads of each
utterance, by name.

Legend: W words.
"""

from pathlib import Path
from typing import Any

import numpy as np

from espnet2_taste.data.ctm import read_ctm
from espnet2_taste.data.kaldi_dir import read_integers, read_table

TOKENS = {"units": "units", "pitch": "pitch_tokens", "style": "style_tokens"}
"""Field of an utterance -> file."""


def read_fields(
    folder: Path,
    ctm: str = "ctm",
    needs: frozenset[str] = frozenset(),
    text: str = "text",
) -> dict[str, dict[str, Any]]:
    """Read what a set has.

    Args:
        folder: The set.
        ctm: File with word times.
        needs: Fields without which the set is of no use.
        text: File with transcripts.

    Returns:
        Fields by utterance id; utterances that miss something needed are not there.

    Raises:
        ValueError: A file that is needed is missing.
    """
    table = {name: {"text": row} for name, row in read_table(folder / text).items()}
    for field, file in TOKENS.items():
        if (folder / file).is_file():
            for name, values in read_integers(folder / file).items():
                if name in table:
                    table[name][field] = values
    for name, times in read_word_times(folder, ctm).items():
        if name in table:
            table[name]["word_times"] = times
    missing = {f for f in needs if not any(f in fields for fields in table.values())}
    if missing:
        files = {**TOKENS, "word_times": ctm}
        raise ValueError(
            f"{folder} has no {', '.join(sorted(files[f] for f in missing))}: make it "
            "with units extract (stage 5), recognize align (stage 4), units expression"
        )
    return {name: f for name, f in table.items() if needs <= set(f)}


def read_word_times(folder: Path, ctm: str = "ctm") -> dict[str, np.ndarray]:
    """Start and end of each word.

    Args:
        folder: A set.
        ctm: File with word times.

    Returns:
        (2 W,) seconds by utterance id; empty if there is no such file.
    """
    if not (folder / ctm).is_file():
        return {}
    return {
        name: np.array([t for word in words for t in (word.start, word.end)])
        for name, words in read_ctm(folder / ctm).items()
    }
