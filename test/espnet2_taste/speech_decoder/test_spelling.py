"""Letters of texts, and their places in the units of their words."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.speech_decoder.segments import unit_rows
from espnet2_taste.speech_decoder.spelling import (
    BORDER,
    lay_out,
    places_of_rows,
    spelling_table,
    spread,
    spread_parts,
    sum_words,
)

TOKENS = [b"", b"a", b"Bc", b"\xc3\xa9", b"def"]
WORDS = st.lists(st.integers(0, 4), min_size=1, max_size=3)
TEXTS = st.lists(st.lists(WORDS, min_size=1, max_size=4), min_size=1, max_size=3)


def batch_of(texts):
    size = max(sum(map(len, text)) for text in texts)
    ids = torch.zeros(len(texts), size, dtype=torch.int64)
    word_ids = torch.full((len(texts), size), -1)
    for row, text in enumerate(texts):
        flat = [(token, word) for word, tokens in enumerate(text) for token in tokens]
        for place, (token, word) in enumerate(flat):
            ids[row, place], word_ids[row, place] = token, word
    return ids, word_ids


def slow_layout(text):
    """Symbols, their words, first and count of each word."""
    ids, owner, first, count = [], [], [], []
    for index, tokens in enumerate(text):
        ids.append(BORDER)
        owner.append(-1)
        letters = b"".join(TOKENS[token].lower() for token in tokens)
        first.append(len(ids))
        count.append(len(letters))
        ids += [byte + 1 for byte in letters]
        owner += [index] * len(letters)
    return [*ids, BORDER], [*owner, -1], first, count


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_letters_equal_a_slow_loop(texts):
    ids, word_ids = batch_of(texts)
    symbols = lay_out(spelling_table(TOKENS)[ids], word_ids)
    for row, text in enumerate(texts):
        want, owner, first, count = slow_layout(text)
        size, words = int(symbols.lengths[row]), len(text)
        assert symbols.ids[row, :size].tolist() == want
        assert symbols.word[row, :size].tolist() == owner
        assert symbols.first[row, :words].tolist() == first
        assert symbols.count[row, :words].tolist() == count
        assert (symbols.ids[row, size:] == BORDER).all()
        assert symbols.valid[row].sum() == size


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.data())
def test_units_lie_between_the_letters_of_their_word(texts, data):
    ids, word_ids = batch_of(texts)
    symbols = lay_out(spelling_table(TOKENS)[ids], word_ids)
    width = max(map(len, texts))
    counts = torch.zeros(len(texts), 2 * width + 1, dtype=torch.int64)
    for row, text in enumerate(texts):
        for segment in range(2 * len(text) + 1):
            counts[row, segment] = data.draw(st.integers(segment % 2, 5))
    rows = unit_rows(counts)
    left, right, weight = places_of_rows(symbols, rows)
    for row, text in enumerate(texts):
        _, _, first, count = slow_layout(text)
        for unit in range(int(counts[row].sum())):
            segment = int(rows.segment[row, unit])
            found = left[row, unit], right[row, unit], weight[row, unit]
            if segment % 2 == 0:
                word = segment // 2
                end = int(symbols.lengths[row]) - 1
                border = first[word] - 1 if word < len(text) else end
                assert found == (border, border, 0)
                continue
            word = segment // 2
            letters = max(count[word], 1)
            place = min(
                max(float(rows.phase[row, unit]) * letters - 0.5, 0), letters - 1
            )
            begin, end, share = map(float, found)
            assert first[word] <= begin <= end <= first[word] + letters - 1
            assert abs(begin + share * (end - begin) - first[word] - place) < 1e-4


def test_spread_is_the_weighted_mean_of_two_letters():
    symbols = lay_out(torch.tensor([[[2, 3]]]), torch.tensor([[0]]))
    encoded = torch.tensor([[[0.0], [1.0], [3.0], [9.0]]])  # border, two, border
    rows = unit_rows(torch.tensor([[1, 4, 1]]))
    want = [0.0, 1.0, 1.5, 2.5, 3.0, 9.0]
    assert torch.allclose(spread(encoded, symbols, rows)[0, :, 0], torch.tensor(want))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=3), st.integers(1, 4))
def test_parts_are_spread_from_middle_to_middle(sizes, parts):
    counts = torch.tensor([[x for size in sizes for x in (1, size)] + [1]])
    rows = unit_rows(counts)
    numbers = torch.arange(1.0 * len(sizes) * parts).view(1, len(sizes), parts, 1)
    found = spread_parts(numbers, rows)[0, :, 0].tolist()
    unit = 0
    for word, size in enumerate(sizes):
        unit += 1  # the silence before it
        for place in range(size):
            offset = (place + 0.5) / size * parts - 0.5
            wanted = word * parts + min(max(offset, 0), parts - 1)
            assert abs(found[unit] - wanted) < 1e-5
            unit += 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-1, 3), min_size=1, max_size=9))
def test_sum_words_equals_a_slow_loop(word_ids):
    values = torch.randn(1, len(word_ids), 2)
    want = torch.zeros(1, 4, 2)
    for place, word in enumerate(word_ids):
        if word >= 0:
            want[0, word] += values[0, place]
    found = sum_words(values, torch.tensor([word_ids]), 4)
    assert torch.allclose(found, want, atol=1e-6)
