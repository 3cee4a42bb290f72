"""Segments of utterances in units: slow loops and properties."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.speech_decoder.segments import (
    durations_of_segments,
    silences_of_times,
    tidy_times,
    times_of_units,
    times_of_words,
    unit_rows,
    units_of_durations,
    units_of_times,
)

RATE = 25.0


@st.composite
def utterances(draw):
    """Word times, some of no length or out of order, and at least a unit a word."""
    batch = []
    for _ in range(draw(st.integers(1, 3))):
        words = draw(st.integers(1, 6))
        units = words + draw(st.integers(0, 20))
        times = st.integers(-99, int(units / RATE * 1000) + 99).map(lambda t: t / 1000)
        batch.append(([(draw(times), draw(times)) for _ in range(words)], units))
    return batch


def as_tensors(batch):
    words = torch.tensor([len(times) for times, _ in batch])
    padded = torch.full((len(batch), int(words.max()), 2), 77.0)
    for row, (times, _) in enumerate(batch):
        padded[row, : len(times)] = torch.tensor(times)
    return padded, words, torch.tensor([units for _, units in batch])


def slow_tidy(times, end, shortest):
    edges, latest = [], 0.0
    for pair in times:
        for time in pair:
            latest = max(latest, min(max(time, 0.0), end))
            edges.append(latest)
    begins, ends = edges[::2], edges[1::2]
    for index in range(len(times)):
        before = edges[2 * index - 1] if index else 0.0
        if edges[2 * index] - before < shortest:
            begins[index] = (before + edges[2 * index]) / 2 if index else 0.0
        last = index + 1 == len(times)
        after = end if last else edges[2 * index + 2]
        if after - edges[2 * index + 1] < shortest:
            ends[index] = end if last else (edges[2 * index + 1] + after) / 2
    return list(zip(begins, ends))


def slow_units(times, units, rate):
    """Round borders; move them on where a word would be empty, back at the end."""
    borders, place = [], 0
    for begin, end in times:
        place = max(place, int(begin * rate + 0.5))
        borders.append(place)
        place = max(place + 1, int(end * rate + 0.5))
        borders.append(place)
    limit = units
    for index in reversed(range(len(borders))):
        borders[index] = min(borders[index], limit)
        limit = borders[index] - (index % 2)  # an end keeps its word one unit long
    edges = [0, *borders, units]
    return [b - a for a, b in zip(edges, edges[1:])]


@settings(max_examples=60, deadline=None)
@given(utterances(), st.sampled_from([0.0, 0.06, 0.2]))
def test_units_of_times_equal_a_slow_loop_and_sum_to_the_utterance(batch, shortest):
    times, words, units = as_tensors(batch)
    tidy = tidy_times(times.double(), words, units / RATE, shortest)
    counts = units_of_times(tidy, words, units, RATE)
    assert counts.sum(1).tolist() == units.tolist()
    for row, (given_times, count) in enumerate(batch):
        rounded = times[row, : len(given_times)].tolist()  # of 32 bits, as there
        want = slow_tidy(rounded, float((units / RATE)[row]), shortest)
        found = tidy[row, : len(want)]
        assert torch.allclose(found, torch.tensor(want).double(), atol=1e-6)
        size = 2 * len(want) + 1
        exact = [tuple(pair) for pair in found.tolist()]
        assert counts[row, :size].tolist() == slow_units(exact, count, RATE)
        assert counts[row, size:].sum() == 0
        assert (counts[row, 1:size:2] >= 1).all()


@settings(max_examples=40, deadline=None)
@given(utterances())
def test_rows_equal_a_slow_loop(batch):
    times, words, units = as_tensors(batch)
    tidy = tidy_times(times, words, units / RATE, 0.06)
    counts = units_of_times(tidy, words, units, RATE)
    rows = unit_rows(counts)
    for row in range(len(batch)):
        want = [
            (segment, (place + 0.5) / size, size)
            for segment, size in enumerate(counts[row].tolist())
            for place in range(size)
        ]
        count = int(units[row])
        assert rows.valid[row].tolist() == [True] * count + [False] * (
            rows.valid.size(1) - count
        )
        assert rows.segment[row, :count].tolist() == [item[0] for item in want]
        assert rows.size[row, :count].tolist() == [item[2] for item in want]
        phases = torch.tensor([item[1] for item in want])
        assert torch.allclose(rows.phase[row, :count], phases)
        for unit, (segment, _, _) in enumerate(want):
            assert rows.silent[row, unit] == (segment % 2 == 0)
            assert rows.word[row, unit] == (segment + 1) // 2 - 1
    assert (rows.size >= 1).all() and (rows.phase <= 1).all()


def test_a_long_utterance_does_not_drift():
    words = 400
    ends = torch.arange(1, words + 1) * 0.333
    times = torch.stack([ends - 0.333, ends], dim=-1)[None]
    units = torch.tensor([round(words * 0.333 * RATE)])
    count = torch.tensor([words])
    tidy = tidy_times(times, count, units / RATE, 0.06)
    counts = units_of_times(tidy, count, units, RATE)
    found = times_of_words(counts / RATE)
    assert (found - times).abs().max() <= 0.5 / RATE + 1e-4
    assert counts[0, 1::2].sum() == units[0]


def test_silence_only_and_words_of_no_length():
    times = torch.tensor([[[0.5, 0.5], [0.5, 0.5]]])
    words, units = torch.tensor([2]), torch.tensor([30])
    tidy = tidy_times(times, words, units / RATE, 0.06)
    counts = units_of_times(tidy, words, units, RATE)
    assert counts.tolist() == [[13, 1, 0, 1, 15]]


def in_units(*durations):
    return units_of_durations(durations_of_segments(*durations, RATE), RATE)


def test_predicted_durations_are_rounded_one_by_one():
    words = torch.tensor([2, 1])
    spoken = torch.tensor([[0.11, 0.001], [0.4, 9.0]])
    silent = torch.tensor([[0.019, 0.1, 0.3], [0.0, 0.05, 9.0]])
    counts = in_units(spoken, silent, words)
    assert counts.tolist() == [[0, 3, 2, 1, 8], [0, 10, 1, 0, 0]]
    longer = spoken + torch.tensor([[0.2, 0.0], [0.0, 0.0]])
    moved = in_units(longer, silent, words)
    assert (moved != counts).nonzero().tolist() == [[0, 1]]


@pytest.mark.parametrize("rate", [25.0, 50.0])
def test_times_of_words_follow_the_units(rate):
    counts = torch.tensor([[2, 3, 0, 5, 1]])
    want = torch.tensor([[[2, 5], [5, 10]]]) / rate
    assert torch.allclose(times_of_words(counts / rate), want)


@settings(max_examples=60, deadline=None)
@given(utterances())
def test_exact_times_of_units_fill_their_segments(batch):
    times, words, units = as_tensors(batch)
    tidy = tidy_times(times.double(), words, units / RATE, 0.06)
    spoken = tidy.diff(dim=-1).squeeze(-1)
    silent = silences_of_times(tidy, units / RATE)
    seconds = durations_of_segments(spoken, silent, words, RATE)
    counts = units_of_durations(seconds, RATE)
    assert ((counts > 0) == (seconds > 0)).all()
    found, of_words = times_of_units(counts, seconds), times_of_words(seconds)
    for row, (given_times, _) in enumerate(batch):
        edge, place = 0.0, 0
        for segment, (count, size) in enumerate(zip(counts[row], seconds[row])):
            for inside in range(int(count)):
                want = [edge + float(size) * (inside + k) / int(count) for k in (0, 1)]
                assert found[row, place].tolist() == pytest.approx(want, abs=1e-5)
                assert 0.5 / RATE <= want[1] - want[0] + 1e-9 < 1.5 / RATE + 2e-9
                place += 1
            if segment % 2 and segment < 2 * len(given_times):
                pair = of_words[row, segment // 2].tolist()
                assert pair == pytest.approx([edge, edge + float(size)], abs=1e-5)
            edge += float(size)
        assert place == int(counts[row].sum())
        assert torch.equal(found[row, 1:place, 0], found[row, : place - 1, 1])
