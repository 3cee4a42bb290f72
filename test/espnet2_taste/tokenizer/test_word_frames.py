"""Frames, lengths and parts of words against loops over words; what vectors hold."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.structures import EncoderStates
from espnet2_taste.tokenizer.word_frames import (
    TYPICAL,
    WordLengths,
    frames_of_words,
    lengths_of_words,
    means_of_parts,
)

FRAMES = 12


@st.composite
def utterances(draw):
    """Frames of words that follow one another, some of unknown time, and word ids."""
    eighths = st.integers(0, 8 * (FRAMES - 2))  # exact in every precision
    edges = draw(st.lists(eighths.map(lambda n: n / 8), min_size=2, max_size=8))
    edges = sorted(edges)[: len(edges) // 2 * 2]
    spans = [list(pair) for pair in zip(edges[::2], edges[1::2])]
    for index in draw(st.sets(st.integers(0, len(spans) - 1))):
        spans[index] = [0.0, 0.0]
    sizes = draw(st.lists(st.integers(1, 3), min_size=len(spans), max_size=len(spans)))
    word_ids = [word for word, size in enumerate(sizes) for _ in range(size)]
    return spans, word_ids + [-1] * draw(st.integers(0, 2))


def states_of(spans, length):
    zeros = torch.zeros(1, FRAMES, 1)
    lengths = torch.tensor([length])
    return EncoderStates(zeros, zeros, lengths, torch.tensor([spans]))


def valued(states):
    """The same with values of three features."""
    values = torch.randn(1, FRAMES, 3, generator=torch.Generator().manual_seed(0))
    return replace(states, values=values)


@settings(max_examples=60, deadline=None)
@given(utterances(), st.integers(1, FRAMES), st.integers(0, 2))
def test_tokens_attend_to_the_frames_of_their_word(utterance, length, prefix):
    spans, word_ids = utterance
    found = frames_of_words(states_of(spans, length), torch.tensor([word_ids]), prefix)[
        0
    ]
    assert found.shape == (prefix + len(word_ids), FRAMES)
    every = [frame < length for frame in range(FRAMES)]
    assert all(row == every for row in found[:prefix].tolist())
    for row, word in zip(found[prefix:].tolist(), word_ids):
        begin, end = spans[word]
        own = [
            valid and begin < frame + 1 and frame < end
            for frame, valid in enumerate(every)
        ]
        known = word >= 0 and end > begin and any(own)
        assert row == (own if known else every)


@settings(max_examples=60, deadline=None)
@given(utterances())
def test_lengths_are_those_of_the_word_and_the_pause_behind_it(utterance):
    spans, word_ids = utterance
    states = states_of(spans, FRAMES)
    found = lengths_of_words(states, torch.tensor([word_ids]))[0].tolist()
    for row, word in zip(found, word_ids):
        begin, end = spans[word]
        wanted = [0.0, 0.0]
        if word >= 0 and end > begin:
            after = spans[word + 1][0] if word + 1 < len(spans) else FRAMES
            pause = math.log1p(max(after - end, 0))
            wanted = [math.log(max(end - begin, 1) / TYPICAL), pause]
        torch.testing.assert_close(row, wanted, rtol=1e-4, atol=1e-4)


def test_a_batch_is_as_each_alone():
    spans = torch.tensor([[[0.0, 3.0], [5.0, 9.0]], [[1.0, 4.0], [0.0, 0.0]]])
    zeros, lengths = torch.zeros(2, FRAMES, 1), torch.tensor([11, 6])
    word_ids = torch.tensor([[0, 1, 1], [0, -1, -1]])
    whole = lengths_of_words(EncoderStates(zeros, zeros, lengths, spans), word_ids)
    alone = lengths_of_words(states_of([[1.0, 4.0]], 6), word_ids[1:])
    assert torch.equal(whole[1:], alone)


@settings(max_examples=60, deadline=None)
@given(utterances(), st.integers(1, FRAMES), st.integers(1, 4))
def test_parts_of_words_are_means_over_time(utterance, length, parts):
    spans, word_ids = utterance
    states = valued(states_of(spans, length))
    found = means_of_parts(states, torch.tensor([word_ids]), parts)[0]
    assert found.shape == (len(word_ids), parts * 3)
    for row, word in zip(found, word_ids):
        begin, end = spans[word]
        size, wanted = (end - begin) / parts, []
        for part in range(parts):
            left, right = begin + part * size, begin + (part + 1) * size
            shares = [
                max(min(frame + 1, right, length) - max(frame, left), 0)
                for frame in range(FRAMES)
            ]
            weight = torch.tensor(shares).unsqueeze(-1)
            total = weight.sum()
            if word >= 0 and total > 0:
                mean = (states.values[0] * weight).sum(0) / total
                wanted.append(torch.nn.functional.layer_norm(mean, (3,)))
        if len(wanted) < parts:  # a part lies behind the end of the speech
            wanted = [torch.zeros(3)] * parts
        torch.testing.assert_close(row, torch.cat(wanted), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("parts", [0, 2])
def test_the_shape_of_a_word_has_no_influence_at_the_start(parts):
    layer, states = WordLengths(4, 3, parts), valued(states_of([[0.0, 5.0]], FRAMES))
    assert not layer(states, torch.tensor([[0]])).any()


def test_a_vector_with_parts_knows_what_came_first():
    torch.manual_seed(0)
    layer, states = WordLengths(4, 3, 2), valued(states_of([[2.0, 6.0]], FRAMES))
    torch.nn.init.normal_(layer.proj.weight)
    values = states.values.clone()
    values[:, 2:6] = values[:, 2:6].flip(1)
    other = replace(states, values=values)
    word_ids = torch.tensor([[0]])
    assert not torch.allclose(layer(states, word_ids), layer(other, word_ids))
