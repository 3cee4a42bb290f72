"""The swap study on disk: plan, render, align, score, draw.

Enters: pairs of readings (slow and fast, or two voices), their codes, functions from
codes to units and from units to waveforms, and an aligner. Leaves: audio before and
after the swap, ``words.tsv`` with every word, pictures, and the scores of
``metrics.swap``.

Legend: S samples, W words, Q codebooks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from espnet2_taste.align.abs_aligner import AbsAligner
from espnet2_taste.align.sets import AlignedSet, align_set
from espnet2_taste.data.audio import write_audio
from espnet2_taste.data.ctm import write_rows
from espnet2_taste.data.kaldi_dir import write_table
from espnet2_taste.evaluation.rendition import measure_word_f0
from espnet2_taste.inference.resynthesis import UnitBatch
from espnet2_taste.metrics.plots import plot_curves, plot_swap
from espnet2_taste.metrics.swap import SwapReading, choose_words, exchange

WORDS = "words.tsv"


@dataclass(frozen=True)
class PlannedReading:
    """One reading and what its codes become.

    Attributes:
        name: Utterance.
        partner: The other reading.
        kind: What the reading is, the title of its column in ``pairs.tsv``.
        other_kind: What the other reading is.
        chosen: Swapped words.
        words: All words, (W,).
        own: Codes of the reading, (W, Q).
        swapped: Codes after the swap, (W, Q).
    """

    name: str
    partner: str
    kind: str
    other_kind: str
    chosen: tuple[int, ...]
    words: tuple[str, ...]
    own: np.ndarray
    swapped: np.ndarray


Generate = Callable[[Sequence[PlannedReading], Sequence[np.ndarray]], UnitBatch]
Render = Callable[[UnitBatch], list[np.ndarray]]


def plan_swaps(
    pairs: Sequence[Mapping[str, str]],
    texts: Mapping[str, str],
    codes: Mapping[str, np.ndarray],
    seed: int,
    share: float,
) -> list[PlannedReading]:
    """Choose words and exchange their codes.

    Args:
        pairs: Rows of two utterance ids by kind, e.g. ``slow`` and ``fast``.
        texts: Words of each utterance.
        codes: Codes of each utterance, (W, Q).
        seed: Seed of the choice.
        share: Share of words to swap.

    Returns:
        Both readings of every pair.

    Raises:
        ValueError: A reading is missing, or a pair has different texts.
    """
    plans = []
    for row in pairs:
        (kind, first), (other_kind, second) = row.items()
        for name in (first, second):
            if name not in codes or name not in texts:
                raise ValueError(
                    f"pairs.tsv names '{name}', which has no codes or no text: "
                    "give both swap sets, tokenized by stage 9"
                )
        if texts[first] != texts[second]:
            raise ValueError(f"'{first}' and '{second}' read different texts")
        words = tuple(texts[first].split())
        chosen = choose_words(f"{first} {second}", len(words), seed, share)
        mixed = exchange(codes[first], codes[second], chosen)
        kinds = (kind, other_kind)
        for name, other, swapped in zip((first, second), (second, first), mixed):
            own = (chosen, words, codes[name], swapped)
            plans.append(PlannedReading(name, other, *kinds, *own))
            kinds = kinds[::-1]
    return plans


def generate_condition(
    plans: Sequence[PlannedReading],
    condition: str,
    generate: Generate,
    batch_size: int,
) -> list[UnitBatch]:
    """Units of all readings with their own or with the swapped codes.

    Args:
        plans: The readings.
        condition: ``own`` or ``swapped``, the attribute that holds the codes.
        generate: Turns readings and codes into units.
        batch_size: Readings at once.

    Returns:
        Batches of readings.
    """
    parts = [plans[i : i + batch_size] for i in range(0, len(plans), batch_size)]
    return [generate(part, [getattr(p, condition) for p in part]) for part in parts]


def word_times(
    plans: Sequence[PlannedReading], batches: Sequence[UnitBatch]
) -> AlignedSet:
    """Word times that come with the units, of no reading if there are none.

    Args:
        plans: The readings.
        batches: Their units.

    Returns:
        The times as if they were aligned.
    """
    texts = {plan.name: " ".join(plan.words) for plan in plans}
    timings = {n: list(t) for x in batches for n, t in x.timings(texts).items()}
    return AlignedSet(timings, texts, {})


def render_condition(
    batches: Sequence[UnitBatch], render: Render, sample_rate: int, folder: Path
) -> dict[str, str]:
    """Render all readings of one condition.

    Args:
        batches: Their units.
        render: Turns a batch into waveforms.
        sample_rate: Of the waveforms.
        folder: Where the audio goes.

    Returns:
        Audio of each reading.
    """
    from tqdm import tqdm

    folder.mkdir(parents=True, exist_ok=True)
    wavs = {}
    for batch in tqdm(batches, desc=f"swap, {folder.name}"):
        paths = [folder / f"{name}.wav" for name in batch.names]
        wavs |= zip(batch.names, map(str, paths))
        for path, wave in zip(paths, render(batch), strict=True):
            write_audio(str(path), wave, sample_rate)
    write_table(folder / "wav.scp", wavs)
    return wavs


def read_swaps(
    plans: Sequence[PlannedReading], own: AlignedSet, swapped: AlignedSet
) -> tuple[list[SwapReading], dict[str, str]]:
    """Bring the word times of both conditions together.

    Args:
        plans: The readings.
        own: Word times before the swap.
        swapped: Word times after it.

    Returns:
        Readings that could be aligned in every condition, and why others were not.
    """
    readings, left_out = [], {}
    for plan in plans:
        name, other = plan.name, plan.partner
        problem = (
            own.problems.get(name)
            or own.problems.get(other)
            or swapped.problems.get(name)
        )
        if problem:
            left_out[name] = problem
            continue
        times = own.timings[name], swapped.timings[name], own.timings[other]
        known = (name, plan.kind, plan.other_kind, plan.chosen)
        readings.append(SwapReading(*known, *map(tuple, times)))
    return readings, left_out


def align_conditions(
    plans: Sequence[PlannedReading],
    wavs: Mapping[str, Mapping[str, str]],
    aligner: AbsAligner,
) -> dict[str, AlignedSet]:
    """Align the audio of each condition.

    Args:
        plans: The readings.
        wavs: Audio of each reading, by condition.
        aligner: The one aligner.

    Returns:
        Alignments by condition.
    """
    texts = {plan.name: " ".join(plan.words) for plan in plans}
    return {
        condition: align_set(aligner, audio, texts, label=f"swap, {condition}")
        for condition, audio in wavs.items()
    }


def add_pitch(
    readings: Sequence[SwapReading],
    plans: Sequence[PlannedReading],
    wavs: Mapping[str, Mapping[str, str]],
) -> list[SwapReading]:
    """Measure the F0 of all words before and after the swap.

    Args:
        readings: With word times.
        plans: They name the other reading.
        wavs: Audio of each reading, by condition.

    Returns:
        The readings with ``pitch``.
    """
    partners = {plan.name: plan.partner for plan in plans}
    own = {reading.name: reading.own for reading in readings}
    own |= {partners[reading.name]: reading.other for reading in readings}
    after = {reading.name: reading.swapped for reading in readings}
    before = measure_word_f0(wavs["own"], own)
    swapped = measure_word_f0(wavs["swapped"], after)
    return [
        replace(r, pitch=(before[r.name], swapped[r.name], before[partners[r.name]]))
        for r in readings
    ]


def write_words(path: Path, readings: Sequence[SwapReading]) -> None:
    """Write durations and F0 of every word before and after the swap."""
    header = ("utt", "word_index", "word", "swapped", "own", "after", "other")
    header += ("own_f0", "after_f0", "other_f0")
    rows = []
    for reading in readings:
        timings = zip(reading.own, reading.swapped, reading.other)
        f0 = zip(*reading.pitch)
        for index, (times, hertz) in enumerate(zip(timings, f0)):
            marks = (index, times[0].word, int(index in reading.chosen))
            seconds = (f"{timing.duration:.4f}" for timing in times)
            rows.append(
                (reading.name, *marks, *seconds, *(f"{value:.1f}" for value in hertz))
            )
    write_rows(path, header, rows)


def clearness(reading: SwapReading) -> float:
    """How far swapped words went beyond how far the others did, seconds."""
    moves = [abs(b.duration - a.duration) for a, b in zip(reading.own, reading.swapped)]
    total = 2 * sum(moves[index] for index in reading.chosen)
    return total - sum(moves)


def draw_swaps(images: Path, readings: Sequence[SwapReading], count: int = 3) -> None:
    """Draw where one sees most: before, after, and the other reading."""
    for reading in sorted(readings, key=clearness, reverse=True)[:count]:
        plot_swap(
            images / f"swap_{reading.name}.png",
            [
                (reading.kind, reading.own, ()),
                (f"{reading.kind}, swapped", reading.swapped, reading.chosen),
                (reading.other_kind, reading.other, ()),
            ],
        )


def draw_leakage(images: Path, curve: Sequence[Mapping[str, float]]) -> None:
    """Draw what a swap does to words by their distance from a swapped one."""
    plot_curves(
        images / "leakage.png",
        {
            "change of the duration": [(p["distance"], p["change"]) for p in curve],
            "way to the other reading": [(p["distance"], p["way"]) for p in curve],
        },
        "words from a swapped one",
    )
