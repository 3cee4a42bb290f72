"""The place in the text against a slow loop."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.speech_decoder.reading_window import ReadingPlace, ReadingWindow


def slow_place(words, attentions, window):
    """One utterance, one position, one word at a time."""
    place, last, seen = 0, max(max(words), 0), []
    for attention in attentions:
        shares = {place: 0.0, place + 1: 0.0}
        for word, weight in zip(words, attention):
            if word in shares:
                shares[word] += weight
        if place < last and shares[place + 1] > shares[place]:
            place += 1
        near = range(place - window.back, place + window.ahead + 1)
        seen.append((place, [word < 0 or word in near for word in words]))
    return seen


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_place_equals_the_slow_loop(data):
    positions, steps = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 6))
    window = ReadingWindow(data.draw(st.integers(0, 2)), data.draw(st.integers(1, 3)))
    words = []
    for _ in range(2):
        size = data.draw(st.integers(1, 4))
        row = sorted(data.draw(st.integers(0, size)) for _ in range(positions))
        words.append([word - 1 for word in row])
    weight = st.integers(0, 16).map(lambda value: value / 16)  # exact sums
    drawn = [
        [[data.draw(weight) for _ in range(positions)] for _ in range(2)]
        for _ in range(steps)
    ]
    place = ReadingPlace(window, torch.tensor(words))
    first, got = place.row, []
    for attention in drawn:
        place.advance(torch.tensor(attention))
        seen = (place.visible() == 0).tolist()
        got.append(((place.row - first).tolist(), seen, place.finished()))
    for row in range(2):
        want = slow_place(words[row], [step[row] for step in drawn], window)
        assert [(word[row], seen[row]) for word, seen, _ in got] == want
        assert [bool(f[row]) for *_, f in got] == [
            p == max(words[row]) for p, _ in want
        ] or (max(words[row]) < 0)


@pytest.mark.parametrize("sizes", [(-1, 2), (1, 0)])
def test_a_window_without_a_way_forward_is_refused(sizes):
    with pytest.raises(ValueError, match="reading window"):
        ReadingWindow(*sizes)
