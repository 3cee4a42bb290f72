"""The aligned unit decoder: batches, what a vector reaches, durations, given times."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.speech_decoder.abs_unit_decoder import UnitInputs, UnitSettings
from espnet2_taste.speech_decoder.aligned_unit_decoder import AlignedUnitDecoder
from espnet2_taste.speech_decoder.segments import unit_rows
from espnet2_taste.speech_decoder.text_input import LetterInput, PhoneInput, TokenInput
from espnet2_taste.speech_decoder.unit_history import CausalHistory, OnePass
from espnet2_taste.speech_decoder.unit_sampling import ArgmaxSampler, TopKSampler

BYTES = [b"<", b"a", b"bc", b"", b"def"]
TOKENIZER = SimpleNamespace(vocab_size=len(BYTES), token_bytes=lambda: BYTES)
RATE, UNITS, SIZE = 25.0, 9, 8
ARGMAX = UnitSettings(sampler=ArgmaxSampler())
EXACT = UnitSettings(sampler=ArgmaxSampler(), exact_times=True)
MIXED = UnitSettings(sampler=ArgmaxSampler(), exact_times=True, mixing=0.5)


def build(text_input=LetterInput, history=CausalHistory, vector_parts=1, **options):
    torch.manual_seed(0)
    options |= {"vector_parts": vector_parts}
    return AlignedUnitDecoder(
        *(len(BYTES), UNITS, 5, 3, RATE),
        text_input(SIZE, TOKENIZER),
        history(UNITS, SIZE, num_blocks=1, kernel_size=3),
        **{"hidden_size": SIZE, "text_blocks": 1, "text_kernel_size": 3}
        | {"row_blocks": 2, "row_kernel_size": 3, "dropout_rate": 0.0}
        | options,
    ).eval()


def read_phones(size, tokenizer):
    pytest.importorskip("espeakng_loader", reason="the extra espeak is not installed")
    return PhoneInput(size, tokenizer, language="en-us")


def batch(words=(5, 3)):
    torch.manual_seed(1)
    size = max(words) + 1  # the first word has two tokens
    count = torch.tensor(words)
    word_ids = (torch.arange(size) - 1).clamp(min=0).expand(len(words), -1).clone()
    word_ids[word_ids >= count.unsqueeze(1)] = -1
    times = torch.rand(len(words), max(words), 2).flatten(1).cumsum(1) / 3 + 0.1
    return UnitInputs(
        text=torch.randint(0, len(BYTES), (len(words), size)),
        text_lengths=count + 1,
        word_ids=word_ids,
        taste=torch.randn(len(words), size, 5),
        spembs=torch.randn(len(words), 3),
        word_times=times.view(len(words), -1, 2),
    )


def units_of(inputs):
    last = (inputs.text_lengths - 2).unsqueeze(1)
    ends = inputs.word_times[..., 1].gather(1, last).squeeze(1)
    lengths = (ends * RATE).long() + 4
    return torch.randint(0, UNITS, (len(lengths), int(lengths.max()))), lengths


def only(inputs, row, **changes):
    """One utterance without its padding."""
    words, tokens = int(inputs.text_lengths[row]) - 1, int(inputs.text_lengths[row])
    part = slice(row, row + 1)
    return UnitInputs(
        text=inputs.text[part, :tokens],
        text_lengths=inputs.text_lengths[part],
        word_ids=inputs.word_ids[part, :tokens],
        taste=None if inputs.taste is None else inputs.taste[part, :tokens],
        spembs=inputs.spembs[part],
        word_times=changes.get("word_times", inputs.word_times[part, :words]),
    )


def free(inputs, **changes):
    fields = {**vars(inputs), "word_times": None} | changes
    return UnitInputs(**fields)


VARIANTS = [
    (LetterInput, CausalHistory),
    (LetterInput, CausalHistory, 3),
    (TokenInput, CausalHistory),
    (read_phones, CausalHistory),
    (LetterInput, OnePass),
]


@pytest.mark.parametrize("parts", VARIANTS)
def test_a_batch_scores_what_its_utterances_do(parts):
    decoder, inputs = build(*parts), batch()
    units, lengths = units_of(inputs)
    found = decoder.score(inputs, units, lengths)
    durations = []
    for row, length in enumerate(lengths.tolist()):
        part = only(inputs, row)
        alone = decoder.score(
            part, units[row : row + 1, :length], lengths[row : row + 1]
        )
        assert torch.allclose(found.logits[row, :length], alone.logits[0], atol=1e-5)
        assert found.targets[row].tolist() == alone.targets[0].tolist() + [-1] * (
            found.targets.size(1) - length
        )
        durations.append(alone.durations * int(part.text_lengths - 1))
    mean = sum(durations) / int((inputs.text_lengths - 1).sum())
    assert torch.allclose(found.durations, mean, atol=1e-5)


@pytest.mark.parametrize("parts", VARIANTS)
@pytest.mark.parametrize(
    "settings",
    [ARGMAX, UnitSettings(sampler=TopKSampler(5), duration_temperature=0.7), MIXED],
    ids=["argmax", "sampled", "exact, mixed"],
)
def test_a_batch_generates_what_its_utterances_do(parts, settings):
    decoder, inputs = build(*parts, prosody_weight=1.0), free(batch())
    found = decoder.generate_units(inputs, ["a", "b"], 3, settings)
    for row, name in enumerate("ab"):
        part = free(only(batch(), row))
        alone = decoder.generate_units(part, [name], 3, settings)[0]
        assert found[row].units.tolist() == alone.units.tolist()
        assert torch.allclose(found[row].word_times, alone.word_times, atol=1e-5)
        assert found[row].prosody.shape == (len(alone.units), 3)
        assert torch.allclose(found[row].prosody, alone.prosody, atol=1e-5)
        if settings.exact_times:
            assert torch.allclose(found[row].times, alone.times, atol=1e-5)
        assert (alone.mixture is None) == (settings.mixing == 0)
        if settings.mixing:
            assert found[row].mixture.shape == (len(alone.units), UNITS)
            assert torch.allclose(found[row].mixture, alone.mixture, atol=1e-5)


def test_a_part_of_a_vector_reaches_its_part_of_the_word():
    decoder, inputs = build(vector_parts=2), batch((4,))
    decoder.taste_affine.weight.data[SIZE:] = 0.0  # the second part says nothing
    other = replace(inputs, taste=torch.randn_like(inputs.taste))
    laid = decoder.lay_out(inputs, None, EXACT)
    moved = laid.rows - decoder.lay_out(other, None, EXACT).rows
    rows = unit_rows(laid.counts)
    within = ~rows.silent & (rows.phase < 0.75)  # before the middle of the second part
    assert within.any() and (~within & ~rows.silent).any()
    assert torch.equal(moved.abs().amax(-1) > 1e-6, within)


def with_known_durations(decoder, monkeypatch):
    """Let durations depend on the first number of a vector alone."""
    real = decoder.durations.forward

    def durations(encoded, symbols, conditions):
        found = real(encoded, symbols, conditions)
        found.word_mean[:] = conditions[..., 0].sigmoid() - 1.5
        found.silence_logit[:] = -9.0
        return found

    monkeypatch.setattr(decoder.durations, "forward", durations)


def test_permuted_vectors_permute_durations(monkeypatch):
    decoder, inputs = build(), free(batch((5,)))
    with_known_durations(decoder, monkeypatch)
    order = torch.tensor([3, 0, 4, 2, 1])
    vectors = torch.randn(5, 5)
    spread = inputs.word_ids[0]
    both = [
        decoder.generate_units(
            free(inputs, taste=chosen[spread][None]), ["a"], 0, ARGMAX
        )[0].word_times.diff(dim=1)[:, 0]
        for chosen in (vectors, vectors[order])
    ]
    assert torch.allclose(both[1], both[0][order])
    assert len(set(both[0].tolist())) > 1


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(6)), st.sampled_from([1, 2, 4]), st.booleans())
def test_vectors_of_equal_words_take_their_durations_with_them(order, token, exact):
    """As predicted, silences included: every word has the same letters around it."""
    decoder, words = build(), len(order) + 2
    inputs = replace(free(batch((words,))), text=torch.full((1, words + 1), token))
    vectors = torch.randn(words, 5)
    inner = [0, *(place + 1 for place in order), words - 1]
    both = [
        decoder.generate_units(
            replace(inputs, taste=chosen[inputs.word_ids[0]][None]),
            ["a"],
            0,
            replace(ARGMAX, exact_times=exact),
        )[0].word_times.diff(dim=1)[:, 0]
        for chosen in (vectors, vectors[inner])
    ]
    assert torch.allclose(both[1], both[0][inner], atol=1e-5)
    assert not exact or len({round(size, 5) for size in both[0].tolist()}) > 1


@pytest.mark.parametrize(
    "history, before, behind", [(OnePass, 3, 3), (CausalHistory, 2, 4)]
)
def test_a_changed_vector_reaches_no_further_than_stated(history, before, behind):
    """Of the rows 2; written in one pass 1 more to both sides, with a history 2."""
    decoder, inputs = build(history=history), batch((30,))
    units, lengths = units_of(inputs)
    one = decoder.score(inputs, units, lengths).logits[0]
    taste = inputs.taste.clone()
    taste[0, inputs.word_ids[0] == 10] += 1.0
    two = decoder.score(replace(inputs, taste=taste), units, lengths).logits[0]
    moved = (one != two).any(-1).nonzero().squeeze(1)
    begin, end = inputs.word_times[0, 10] * RATE
    assert decoder.look_ahead.units == before
    assert moved.min() >= begin - 1 - before
    assert moved.max() <= end + behind
    assert len(moved) >= end - begin


@pytest.mark.parametrize("history", [OnePass, CausalHistory])
def test_a_changed_vector_changes_no_generated_unit_before_its_reach(history):
    decoder, inputs = build(history=history), free(batch((30,)))
    decoder.taste_affine.weight.data *= 30  # so that units depend on vectors
    taste = inputs.taste.clone()
    taste[0, inputs.word_ids[0] == 10] *= -1.0
    one, two = (
        decoder.generate_units(replace(inputs, taste=each), ["a"], 0, ARGMAX)[0]
        for each in (inputs.taste, taste)
    )
    first = int((one.word_times[9, 1] * RATE).round()) - decoder.look_ahead.units
    assert first > 0 and torch.equal(one.units[:first], two.units[:first])
    assert not torch.equal(one.units, two.units)


def test_a_changed_vector_changes_no_prosody_beyond_the_rows_it_reaches():
    decoder, inputs = build(prosody_weight=1.0), batch((30,))
    taste = inputs.taste.clone()
    taste[0, inputs.word_ids[0] == 10] += 1.0
    one, two = (
        decoder.generate_units(
            UnitInputs(**{**vars(inputs), "taste": each}), ["a"], 0, ARGMAX
        )[0]
        for each in (inputs.taste, taste)
    )
    moved = (one.prosody != two.prosody).any(-1).nonzero().squeeze(1)
    begin, end = (one.word_times[10] * RATE).round().tolist()
    reach = decoder.look_ahead.units
    assert begin - reach <= moved.min() and moved.max() < end + reach
    assert len(moved) >= end - begin


def with_prosody(inputs, units):
    torch.manual_seed(2)
    shape = units.shape
    voiced = (torch.rand(shape) > 0.4).float()
    rows = torch.stack([torch.randn(shape) * voiced, voiced, torch.randn(shape)], -1)
    return UnitInputs(**{**vars(inputs), "prosody": rows})


def test_prosody_is_learned_where_it_is_measured_and_never_at_padding():
    decoder, inputs = build(prosody_weight=2.0), batch()
    units, lengths = units_of(inputs)
    inputs = with_prosody(inputs, units)
    loss = decoder.score(inputs, units, lengths).prosody
    for row, length in enumerate(lengths.tolist()):
        inputs.prosody[row, length:] = torch.tensor([9.0, 1.0, 9.0])
    assert torch.equal(decoder.score(inputs, units, lengths).prosody, loss)
    taste = inputs.taste.clone().requires_grad_()
    inputs = UnitInputs(**{**vars(inputs), "taste": taste})
    decoder.score(inputs, units, lengths).prosody.backward()
    assert torch.equal(taste.grad.abs().sum(-1) > 0, inputs.word_ids >= 0)


def test_training_needs_measured_pitch_and_prosody_is_left_out_where_it_is_not_wanted():
    decoder, inputs = build(prosody_weight=1.0), batch()
    assert decoder.score(inputs, *units_of(inputs)).prosody == 0
    with pytest.raises(ValueError, match="prosody_weight .* no pitch: run stage 6"):
        decoder.train().score(inputs, *units_of(inputs))
    decoder.eval()
    silent = UnitSettings(sampler=ArgmaxSampler(), use_prosody=False)
    item, _ = decoder.generate_units(free(inputs), ["a", "b"], 0, silent)
    assert item.prosody is None
    assert build().generate_units(free(inputs), "ab", 0, ARGMAX)[0].prosody is None
    assert build().prosody_rate is None and decoder.prosody_rate == RATE


def test_a_changed_vector_moves_no_other_duration():
    decoder, inputs = build(), free(batch((6,)))
    taste = inputs.taste.clone()
    taste[0, inputs.word_ids[0] == 3] *= -3.0
    one, two = (
        decoder.generate_units(free(inputs, taste=each), ["a"], 0, ARGMAX)[0]
        for each in (inputs.taste, taste)
    )
    lengths = [item.word_times.diff(dim=1)[:, 0] for item in (one, two)]
    others = torch.arange(6) != 3
    assert torch.allclose(lengths[0][others], lengths[1][others], atol=1e-6)


def test_given_times_are_kept_and_tempo_scales_predicted_ones():
    decoder, inputs = build(), batch((5,))
    found = decoder.generate_units(inputs, ["a"], 0, ARGMAX)[0]
    assert (found.word_times - inputs.word_times[0]).abs().max() < 1.6 / RATE
    usual, slow = (
        decoder.generate_units(
            free(inputs), ["a"], 0, UnitSettings(sampler=ArgmaxSampler(), tempo=tempo)
        )[0]
        for tempo in (1.0, 0.1)
    )
    ratio = len(slow.units) / len(usual.units)
    assert 8 < ratio < 12
    assert slow.word_times[-1, 1] <= len(slow.units) / RATE + 1e-6


def test_exact_times_are_those_that_are_given_or_predicted(monkeypatch):
    decoder, inputs = build(), batch((5, 3))
    names = ["a", "b"]
    found = decoder.generate_units(inputs, names, 0, EXACT)
    rounded = decoder.generate_units(inputs, names, 0, ARGMAX)
    for row, words in enumerate((5, 3)):
        times, item = inputs.word_times[row, :words], found[row]
        assert (item.word_times[1:, 1] - times[1:, 1]).abs().max() < 0.05
        lengths = item.word_times.diff(dim=1) - rounded[row].word_times.diff(dim=1)
        assert 1e-3 < lengths.abs().max() < 1.1 / RATE
        assert rounded[row].times is None
        assert item.times[0, 0] == 0 and len(item.times) == len(item.units)
        assert torch.isclose(item.times[-1, 1], item.word_times[-1, 1])
    with_known_durations(decoder, monkeypatch)
    slow, usual = (
        decoder.generate_units(free(inputs), names, 0, replace(EXACT, tempo=tempo))[0]
        for tempo in (0.5, 1.0)
    )
    ratio = slow.word_times.diff(dim=1) / usual.word_times.diff(dim=1)
    assert torch.allclose(ratio, torch.tensor(2.0), atol=1e-3)


def test_exact_times_of_a_word_of_no_length_and_of_silence_alone():
    decoder, inputs = build(), batch((2,))
    inputs.word_times[0] = 0.5
    known = replace(inputs, seconds=torch.tensor([1.2]))
    item = decoder.generate_units(known, ["a"], 0, EXACT)[0]
    half = 0.5 / RATE
    want = torch.tensor([[0.5, 0.5 + half], [0.5 + half, 0.5 + 2 * half]])
    assert torch.allclose(item.word_times, want)
    assert torch.isclose(item.times[-1, 1], torch.tensor(1.2 + 2 * half))


def test_without_word_times_there_is_no_training():
    inputs = batch()
    with pytest.raises(ValueError, match="word_times.*guided_attention"):
        build().score(free(inputs), *units_of(inputs))


def test_an_utterance_without_times_counts_in_no_loss():
    decoder, inputs = build(), batch((5, 5))
    units, lengths = units_of(inputs)
    inputs.word_times[1] = 0.0
    found = decoder.score(inputs, units, lengths)
    assert (found.targets[1] == -1).all() and (found.targets[0] >= 0).any()
    alone = only(inputs, 0)
    want = decoder.score(alone, units[:1, : lengths[0]], lengths[:1]).durations
    assert torch.allclose(found.durations, want, atol=1e-5)


def test_the_last_word_lasts_to_the_end_of_the_speech_not_of_the_units():
    decoder, inputs = build(), batch((5,))
    units, lengths = units_of(inputs)
    end = inputs.word_times[0, -1, 1]
    short = (end * RATE).long().reshape(1) - 2
    cut = decoder.score(inputs, units[:, : int(short)], short)
    known = UnitInputs(**{**vars(inputs), "seconds": end.reshape(1)})
    whole = decoder.score(known, units[:, : int(short)], short)
    assert torch.equal(cut.logits, whole.logits)
    longer = decoder.score(known, units, lengths)
    assert whole.durations == longer.durations != cut.durations


def test_blur_moves_borders_in_training_only():
    decoder, inputs = build(time_blur=0.2), batch()
    arguments = inputs, *units_of(inputs)
    assert torch.equal(
        decoder.score(*arguments).logits, decoder.score(*arguments).logits
    )
    decoder.train()
    assert not torch.equal(
        decoder.score(*arguments).logits, decoder.score(*arguments).logits
    )


def test_gradients_reach_vectors_through_units_and_durations():
    decoder, inputs = build(), batch()
    units, lengths = units_of(inputs)
    for name in ("logits", "durations"):
        taste = inputs.taste.clone().requires_grad_()
        scores = decoder.score(
            UnitInputs(**{**vars(inputs), "taste": taste}), units, lengths
        )
        getattr(scores, name).sum().backward()
        touched = taste.grad.abs().sum(-1) > 0
        assert torch.equal(touched, inputs.word_ids >= 0)


def test_one_word_and_many_words():
    decoder = build()
    for words in (1, 400):
        inputs = batch((words,))
        item = decoder.generate_units(free(inputs), ["a"], 0, ARGMAX)[0]
        assert item.word_times.shape == (words, 2)
        assert (item.word_times.diff(dim=1) > 0).all()
        score = decoder.score(inputs, *units_of(inputs))
        assert torch.isfinite(score.durations) and torch.isfinite(score.logits).all()


def test_rare_tokens_share_letters():
    decoder = build(LetterInput)
    ids = torch.tensor([[1, 2, 4]])
    symbols = decoder.text_input.symbols(ids, torch.tensor([[0, 0, 1]]))
    letters = [value - 1 for value in symbols.ids[0].tolist()]
    assert letters == [-1, *b"abc", -1, *b"def", -1]
    assert "text_input.table" not in decoder.state_dict()
