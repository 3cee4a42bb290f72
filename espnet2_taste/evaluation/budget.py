"""What a design costs: rows, padding, arithmetic.

Enters: a layout and utterances, or steps and their cost. Leaves: the
figures that stand beside quality in every table.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from espnet2_taste.data.kaldi_dir import read_table
from espnet2_taste.slm.layouts.abs_layout import AbsLayout
from espnet2_taste.slm.layouts.streams import TEXT
from espnet2_taste.slm.layouts.utterance import Utterance


def count_rows(
    layout: AbsLayout,
    utterances: Iterable[Utterance],
    seed: int | None = None,
) -> dict[str, float]:
    """Lay a set out and count.

    Args:
        layout: Of the design.
        utterances: Of the set, with what the layout needs.
        seed: Draw what the layout draws in training; None for the form that is scored.

    Returns:
        Number of ``utterances``, mean ``rows`` of one, ``rows_per_second`` of speech,
        ``padding``: the share of cells that carry nothing, ``text_padding``: the same
        of the stream of text alone, nan without one, ``tail``: mean units that no row
        holds.

    Raises:
        ValueError: No utterances, or something the layout needs is missing.
    """
    rng = None if seed is None else np.random.default_rng(seed)
    text = [i for i, stream in enumerate(layout.streams) if stream.group == TEXT]
    counts = []
    for utterance in utterances:
        grid = layout.encode(utterance, rng)
        padded = grid.padding.size, grid.padding.sum(), grid.padding[:, text].sum()
        counts.append((len(grid.ids), *padded, len(grid.tail), utterance.seconds))
    if not counts:
        raise ValueError("no utterances to count rows of: give a set that has some")
    count = len(counts)
    rows, cells, padded, text_padded, tail, seconds = np.sum(counts, axis=0)
    return {
        "utterances": count,
        "rows": rows / count,
        "rows_per_second": rows / max(seconds, 1e-9),
        "padding": padded / cells,
        "text_padding": text_padded / rows if text else float("nan"),
        "tail": tail / count,
    }


def equal_flops_steps(steps: int, epochs: int, cost: float, reference: float) -> int:
    """Steps an epoch with which a training costs what another one cost.

    Args:
        steps: Of all epochs of the training as it was.
        epochs: Their number, which stays.
        cost: Their arithmetic.
        reference: Arithmetic of the other training.

    Returns:
        At least 1.

    Example:
        >>> equal_flops_steps(900, 3, 60.0, 20.0)
        100
    """
    return max(1, round(steps * reference / cost / epochs))


def scaled_steps(steps: Sequence[float], share: float) -> list[int]:
    """Move the corners of a learning rate's schedule to a longer or shorter training.

    Args:
        steps: Steps of the corners, increasing.
        share: Steps of the new training, divided by those of the old one.

    Returns:
        Increasing steps; the shape of the schedule stays the same.

    Example:
        >>> scaled_steps([0, 60, 935], 0.2)
        [0, 12, 187]
    """
    scaled: list[int] = []
    for step in steps:
        least = scaled[-1] + 1 if scaled else 0
        scaled.append(max(round(step * share), least))
    return scaled


def add_placeholders(fields: dict, folder: Path, rate: float) -> bool:
    """Give units to a set that has none: as many as its durations say.

    Args:
        fields: Of the set, changed.
        folder: The set.
        rate: Units a second.

    Returns:
        Whether the units are true ones.

    Raises:
        ValueError: Neither units nor durations.
    """
    if any("units" in field for field in fields.values()):
        return True
    path = folder / "utt2dur"
    if not path.is_file():
        raise ValueError(f"{folder} has neither units nor utt2dur: run units extract")
    for name, seconds in read_table(path).items():
        if name in fields:
            count = max(round(float(seconds) * rate), 1)
            fields[name]["units"] = np.zeros(count, dtype=np.int64)
    return False
