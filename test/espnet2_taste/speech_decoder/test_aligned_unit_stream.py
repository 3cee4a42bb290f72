"""Streams of units: the same units and times, as early as the look-ahead allows."""

import pytest
import torch
from helper_modules import load_tests

from espnet2_taste.speech_decoder.abs_unit_decoder import (
    LookAhead,
    UnitInputs,
    UnitSettings,
    WholeTextStream,
)
from espnet2_taste.speech_decoder.aligned_unit_stream import final_words
from espnet2_taste.speech_decoder.unit_sampling import TopKSampler

decoders = load_tests("speech_decoder", "test_aligned_unit_decoder.py")
SAMPLED = UnitSettings(sampler=TopKSampler(5), duration_temperature=0.7)
EXACT = decoders.EXACT


def first_words(inputs, count):
    """The first words of an utterance, of which the first one has two tokens."""
    return UnitInputs(
        text=inputs.text[:, : count + 1],
        text_lengths=torch.tensor([count + 1]),
        word_ids=inputs.word_ids[:, : count + 1],
        taste=inputs.taste[:, : count + 1],
        spembs=inputs.spembs,
    )


def streamed(stream, inputs, words):
    pieces = [stream.extend(first_words(inputs, n), False) for n in range(1, words)]
    return [*pieces, stream.extend(first_words(inputs, words), True)]


@pytest.mark.parametrize("parts", decoders.VARIANTS)
@pytest.mark.parametrize("settings", [decoders.ARGMAX, SAMPLED, EXACT])
@pytest.mark.parametrize("words", [1, 2, 24])
def test_pieces_are_those_of_the_whole(parts, settings, words):
    decoder = decoders.build(*parts, prosody_weight=1.0)
    inputs = decoders.free(decoders.batch((words,)))
    (whole,) = decoder.generate_units(inputs, ["a"], 3, settings)
    pieces = streamed(decoder.stream("a", 3, settings), inputs, words)
    assert torch.equal(torch.cat([piece.units for piece in pieces]), whole.units)
    times = torch.cat([piece.word_times for piece in pieces])
    assert torch.allclose(times, whole.word_times, atol=1e-5)
    given = [piece.prosody for piece in pieces if len(piece.units)]
    assert torch.allclose(torch.cat(given), whole.prosody, atol=1e-5)
    assert (whole.times is not None) == settings.exact_times
    if settings.exact_times:
        times = torch.cat([piece.times for piece in pieces])
        assert torch.allclose(times, whole.times, atol=1e-5)
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
    assert ahead == LookAhead(1, 2 if causal else 3)
    stream, given = decoder.stream("a", 0, decoders.ARGMAX), 0
    ends = (whole.word_times[:, 1] * decoders.RATE).round().long()
    for count in range(1, words):
        part = first_words(inputs, count)
        given += len(stream.extend(part, False).units)
        symbols = letters.symbols(part.text, part.word_ids)
        known = final_words(symbols, ahead.symbols)
        assert known >= count - 1  # a border and the word behind it are enough
        assert given == max(0, int(ends[known - 1]) - ahead.units if known else 0)


def test_a_decoder_without_look_ahead_waits_for_the_last_word():
    decoder = decoders.build()
    inputs = decoders.free(decoders.batch((4,)))
    (whole,) = decoder.generate_units(inputs, ["a"], 0, decoders.ARGMAX)
    stream = WholeTextStream(decoder, "a", 0, decoders.ARGMAX)
    *early, end = streamed(stream, inputs, 4)
    assert not any(len(piece.units) for piece in early)
    assert torch.equal(end.units, whole.units)
    assert torch.equal(end.word_times, whole.word_times)
