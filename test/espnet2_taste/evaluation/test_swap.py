"""The swap study with a renderer and an aligner that know what they do."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from espnet2_taste.align.abs_aligner import AbsAligner, AlignedUtterance
from espnet2_taste.data.ctm import read_rows
from espnet2_taste.evaluation.swap import (
    add_pitch,
    align_conditions,
    clearness,
    draw_swaps,
    generate_condition,
    plan_swaps,
    read_swaps,
    render_condition,
    word_times,
    write_words,
)
from espnet2_taste.inference.resynthesis import UnitBatch
from espnet2_taste.metrics.swap import SwapReading, score_swaps
from espnet2_taste.structures import WordTiming

RATE = 16000
PAIRS = [{"slow": "a-slow", "fast": "a-fast"}, {"slow": "b-slow", "fast": "b-fast"}]
TEXTS = {n: "the red dog runs home" for row in PAIRS for n in row.values()}


def codes(duration_ms):
    """The first code of a word is its duration in 10 ms."""
    return np.full((5, 2), duration_ms // 10)


CODES = {n: codes(400 if n.endswith("slow") else 200) for n in TEXTS}


def generate(plans, batch):
    """A unit of 10 ms for each code; the words are as long as their codes say."""
    sizes = [torch.tensor(item[:, 0]) for item in batch]
    ends = [size.cumsum(0) * 0.01 for size in sizes]
    return UnitBatch(
        [plan.name for plan in plans],
        [torch.zeros(int(size.sum()), dtype=torch.int64) for size in sizes],
        torch.zeros(len(plans), 2),
        tuple(torch.stack([e - s * 0.01, e], 1) for e, s in zip(ends, sizes)),
    )


def render(batch):
    return [np.full(int(len(units) * 0.01 * RATE), 0.1) for units in batch.units]


class RulerAligner(AbsAligner):
    """Divides a recording evenly, so only the total length counts."""

    sample_rate = RATE

    def transcribe(self, speech):
        return [() for _ in speech]

    def time_words(self, speech, words):
        results = []
        for wave, spoken in zip(speech, words):
            step = len(wave) / RATE / len(spoken)
            timed = [WordTiming(w, i * step, step) for i, w in enumerate(spoken)]
            results.append(AlignedUtterance(tuple(timed)))
        return results


def test_study_from_codes_to_scores(tmp_path):
    plans = plan_swaps(PAIRS, TEXTS, CODES, seed=0, share=0.25)
    assert [plan.kind for plan in plans] == ["slow", "fast"] * 2
    assert [plan.other_kind for plan in plans] == ["fast", "slow"] * 2
    assert plans[0].chosen == plans[1].chosen
    batches = {
        condition: generate_condition(plans, condition, generate, 3)
        for condition in ("own", "swapped")
    }
    wavs = {
        condition: render_condition(made, render, RATE, tmp_path / condition)
        for condition, made in batches.items()
    }
    said = [word_times(plans, made) for made in batches.values()]
    predicted = score_swaps(read_swaps(plans, *said)[0])
    assert predicted["share_right"] == predicted["way"] == 1.0
    assert predicted["unswapped_change"] == 0.0
    aligned = align_conditions(plans, wavs, RulerAligner())
    readings, left_out = read_swaps(plans, aligned["own"], aligned["swapped"])
    assert left_out == {} and len(readings) == 4
    scores = score_swaps(readings)
    assert scores["share_right"] == 1.0
    assert scores["swapped_words"] == 4
    readings = add_pitch(readings, plans, wavs)
    write_words(tmp_path / "words.tsv", readings)
    rows = read_rows(tmp_path / "words.tsv")
    assert len(rows) == 4 * 5
    assert {row["own_f0"] for row in rows} == {"nan"}  # a constant has no pitch
    draw_swaps(tmp_path / "images", readings, count=1)
    assert len(list((tmp_path / "images").glob("swap_*.png"))) == 1


def test_the_clearest_reading_is_drawn_first():
    def reading(changes):
        own = [WordTiming("a", 0.0, 0.5)] * len(changes)
        after = [WordTiming("a", 0.0, 0.5 + change) for change in changes]
        return SwapReading("u", "slow", "fast", (0,), tuple(own), tuple(after), ())

    assert clearness(reading([-0.3, 0.0])) > clearness(reading([-0.3, 0.2]))
    assert clearness(reading([-0.3, 0.2])) > clearness(reading([0.1, 0.2]))


def test_units_without_times_have_no_predicted_durations():
    plans = plan_swaps(PAIRS[:1], TEXTS, CODES, 0, 0.25)
    (batch,) = generate_condition(plans, "own", generate, 2)
    assert word_times(plans, [replace(batch, word_times=(None, None))]).timings == {}


def test_readings_that_do_not_belong_together_are_named():
    with pytest.raises(ValueError, match="names 'a-fast'"):
        plan_swaps(PAIRS, TEXTS, {"a-slow": CODES["a-slow"]}, 0, 0.25)
    with pytest.raises(ValueError, match="different texts"):
        plan_swaps(PAIRS, TEXTS | {"a-fast": "a b"}, CODES, 0, 0.25)
