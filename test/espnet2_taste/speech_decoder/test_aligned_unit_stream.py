"""Streams of units: the same units and times, as early as the look-ahead allows."""

import math
from itertools import accumulate

import pytest
import torch
from helper_modules import load_tests
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.speech_decoder.abs_unit_decoder import (
    USUAL_WORD,
    LookAhead,
    UnitInputs,
    UnitSettings,
    WholeTextStream,
)
from espnet2_taste.speech_decoder.aligned_unit_stream import final_words
from espnet2_taste.speech_decoder.unit_sampling import TopKSampler

decoders = load_tests("speech_decoder", "test_aligned_unit_decoder.py")
EXACT, MIXED = decoders.EXACT, decoders.MIXED
SAMPLED = UnitSettings(sampler=TopKSampler(5), duration_temperature=0.7)


def part(inputs, first, stop):
    """Some words of an utterance, of which the first one has two tokens."""
    place = slice(first + (first > 0), stop + 1)
    return UnitInputs(
        text=inputs.text[:, place],
        text_lengths=torch.tensor([place.stop - place.start]),
        word_ids=inputs.word_ids[:, place] - first,
        taste=None if inputs.taste is None else inputs.taste[:, place],
        spembs=inputs.spembs,
    )


def tokens_of(inputs, word):
    """A word of an utterance whose words all have two tokens."""
    place = slice(2 * word, 2 * word + 2)
    return UnitInputs(
        text=inputs.text[:, place],
        text_lengths=torch.tensor([2]),
        word_ids=inputs.word_ids[:, place] - word,
        taste=inputs.taste[:, place],
        spembs=inputs.spembs,
    )


def streamed(stream, inputs, words, sizes=()):
    """Pieces of an utterance whose words come in groups, or one by one."""
    ends = [*accumulate(sizes)] or [*range(1, words + 1)]
    begins = [0, *ends[:-1]]
    pieces = [stream.extend(part(inputs, *place)) for place in zip(begins, ends)]
    return [*pieces, stream.finish()]


def check(pieces, whole):
    assert torch.equal(torch.cat([piece.units for piece in pieces]), whole.units)
    times = torch.cat([piece.word_times for piece in pieces])
    assert torch.allclose(times, whole.word_times, atol=1e-5)
    given = [piece.prosody for piece in pieces if len(piece.units)]
    assert torch.allclose(torch.cat(given), whole.prosody, atol=1e-5)
    if whole.times is not None:
        times = torch.cat([piece.times for piece in pieces])
        assert torch.allclose(times, whole.times, atol=1e-5)
    mixtures = [piece.mixture for piece in pieces if piece.mixture is not None]
    assert (len(mixtures) > 0) == (whole.mixture is not None)
    if mixtures:
        assert torch.allclose(torch.cat(mixtures), whole.mixture, atol=1e-5)


@st.composite
def utterances(draw):
    """Tokens of words, and in what groups the words come."""
    tokens = draw(st.lists(st.integers(0, 4), min_size=2, max_size=16))
    words, sizes = len(tokens) - 1, []
    while sum(sizes) < words:
        sizes.append(draw(st.integers(1, words - sum(sizes))))
    return tokens, sizes


@settings(max_examples=10, deadline=None)
@given(
    utterances(),
    st.sampled_from(decoders.VARIANTS),
    st.sampled_from([decoders.ARGMAX, SAMPLED, EXACT, MIXED]),
    st.tuples(st.integers(1, 3), st.sampled_from([1, 3, 5]), st.integers(1, 3)),
)
def test_any_groups_of_words_give_the_units_of_the_whole(spoken, parts, how, text):
    (tokens, sizes), (blocks, kernel, dilation) = spoken, text
    options = dict(text_blocks=blocks, text_kernel_size=kernel, prosody_weight=1.0)
    options |= dict(text_dilation=dilation, row_dilation=dilation)
    decoder, words = decoders.build(*parts, **options), sum(sizes)
    inputs = decoders.free(decoders.batch((words,)), text=torch.tensor([tokens]))
    (whole,) = decoder.generate_units(inputs, ["a"], 3, how)
    check(streamed(decoder.stream("a", 3, how), inputs, words, sizes), whole)


@pytest.mark.parametrize("parts", decoders.VARIANTS)
def test_a_word_costs_the_same_wherever_it_stands(parts):
    decoder, words = decoders.build(*parts), 60
    seen = {"text": [], "rows": [], "history": []}
    stacks = zip(seen, (decoder.text_stack, decoder.row_stack, decoder.history.stack))
    for name, stack in stacks:
        keep = seen[name].append
        stack.blocks[0].register_forward_hook(lambda _, x, y, k=keep: k(y.size(1)))
    inputs = decoders.free(decoders.batch((words,)))
    streamed(decoder.stream("a", 0, decoders.ARGMAX), inputs, words)
    for name, sizes in seen.items():
        assert max(sizes[30:], default=0) <= 1.2 * max(sizes[:30], default=0), name


@pytest.mark.parametrize("parts", decoders.VARIANTS)
@pytest.mark.parametrize("settings", [decoders.ARGMAX, SAMPLED, EXACT, MIXED])
@pytest.mark.parametrize("words", [1, 2, 24])
def test_pieces_are_those_of_the_whole(parts, settings, words):
    decoder = decoders.build(*parts, prosody_weight=1.0)
    inputs = decoders.free(decoders.batch((words,)))
    (whole,) = decoder.generate_units(inputs, ["a"], 3, settings)
    pieces = streamed(decoder.stream("a", 3, settings), inputs, words)
    check(pieces, whole)
    assert (whole.times is not None) == settings.exact_times
    assert len(pieces[-1].units) > 0
    if words > 2:
        assert sum(len(piece.units) for piece in pieces[:-1]) > len(whole.units) / 2


@pytest.mark.parametrize("parts", decoders.VARIANTS)
def test_units_come_as_soon_as_what_they_look_at_is_known(parts):
    decoder, words = decoders.build(*parts), 24
    inputs = decoders.free(decoders.batch((words,)))
    (whole,) = decoder.generate_units(inputs, ["a"], 0, decoders.ARGMAX)
    ahead, letters = decoder.look_ahead, decoder.text_input
    causal = parts[1] is decoders.CausalHistory
    assert ahead == LookAhead(1, 2 if causal else 3, decoder.unit_rate)
    stream, given = decoder.stream("a", 0, decoders.ARGMAX), 0
    ends = (whole.word_times[:, 1] * decoders.RATE).round().long()
    for count in range(1, words):
        given += len(stream.extend(part(inputs, count - 1, count)).units)
        known = part(inputs, 0, count)
        symbols = letters.symbols(known.text, known.word_ids)
        known = final_words(symbols, ahead.symbols)
        assert known >= count - 1  # a border and the word behind it are enough
        assert given == max(0, int(ends[known - 1]) - ahead.units if known else 0)


@pytest.mark.parametrize("text", [1, 2, 5], ids=lambda kernel: f"{kernel} letters")
@pytest.mark.parametrize("rows", [1, 2, 4], ids=lambda dilation: f"{dilation} wider")
def test_words_that_are_waited_for_at_their_usual_length(monkeypatch, text, rows):
    options = dict(text_kernel_size=2 * text + 1, row_dilation=rows, row_blocks=3)
    decoder, words = decoders.build(**options, row_kernel_size=5), 12
    usual = decoder.durations.forward

    def durations(*args):
        found = usual(*args)
        found.word_mean[:] = math.log(USUAL_WORD)
        found.silence_logit[:] = -9.0
        return found

    monkeypatch.setattr(decoder.durations, "forward", durations)
    spelled = torch.tensor([[2] * (2 * words)])  # two tokens of two letters a word
    inputs = UnitInputs(
        text=spelled,
        text_lengths=torch.tensor([2 * words]),
        word_ids=(torch.arange(2 * words) // 2)[None],
        taste=torch.randn(1, 2 * words, 5),
        spembs=torch.randn(1, 3),
    )
    stream, given = decoder.stream("a", 0, decoders.ARGMAX), 0
    for known in range(words):
        given += len(stream.extend(tokens_of(inputs, known)).units)
        if given >= USUAL_WORD * decoder.unit_rate:
            break
    assert known == decoder.look_ahead.words() > 0


def test_a_decoder_without_look_ahead_waits_for_the_last_word():
    decoder = decoders.build()
    inputs = decoders.free(decoders.batch((4,)))
    (whole,) = decoder.generate_units(inputs, ["a"], 0, decoders.ARGMAX)
    stream = WholeTextStream(decoder, "a", 0, decoders.ARGMAX)
    *early, end = streamed(stream, inputs, 4)
    assert not any(len(piece.units) for piece in early)
    assert torch.equal(end.units, whole.units)
    assert torch.equal(end.word_times, whole.word_times)
