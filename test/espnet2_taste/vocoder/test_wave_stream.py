"""Waves that grow: what the whole gives, exactly or within a tolerance, no clicks."""

import math

import pytest
import torch
from helper_modules import load_tests
from tiny_models import tiny_hifigan

from espnet2_taste.data.log_mel import LogMel
from espnet2_taste.vocoder.abs_renderer import SingleRenderer
from espnet2_taste.vocoder.flow_vocoder import FlowHiFT, FlowVocoder
from espnet2_taste.vocoder.griffin_lim import GriffinLim
from espnet2_taste.vocoder.unit_hifigan import UnitHiFiGAN
from espnet2_taste.vocoder.unit_to_mel_vocoder import (
    UnitToMelGriffinLim,
    UnitToMelVocoder,
)
from espnet2_taste.vocoder.wave_stream import WholeWaveStream

flows = load_tests("vocoder", "test_flow_vocoder.py")
SMALL = dict(unit_size=16, unit_layers=2, frame_size=12, pitch_layers=2, frame_layers=2)
DEEP = SMALL | dict(unit_layers=5, unit_kernel_size=5, frame_layers=4)
TOLERANCE = 1e-4  # share of the energy, Griffin-Lim


def hifigan():
    torch.manual_seed(0)
    vocoder = UnitHiFiGAN(**tiny_hifigan(32, num_units=12, spembs_size=4))
    with torch.no_grad():
        for name, weight in vocoder.generator.named_parameters():
            if name.endswith(("weight", "weight_v", "weight_g")):
                weight.mul_(3)  # sound instead of next to nothing
    vocoder.lead = 320
    return vocoder.eval()


def griffin_lim(network=SMALL, **options):
    torch.manual_seed(0)
    conf = dict(num_units=12, spembs_size=4, frame_offset=2, network_conf=network)
    vocoder = UnitToMelGriffinLim(**conf, **options).eval()
    with torch.no_grad():
        vocoder.network.pitch_head.weight.mul_(3)  # voiced and unvoiced frames
    return vocoder


def utterance(count=60):
    generator = torch.Generator().manual_seed(1)
    units = torch.randint(0, 12, (count,), generator=generator)
    return units, torch.randn(1, 4, generator=generator)


def whole_wave(vocoder, units, spembs):
    waves, _ = vocoder.synthesize(units[None], torch.tensor([len(units)]), spembs)
    return waves[0]


def prosody_of(units):
    generator = torch.Generator().manual_seed(2)
    rows = torch.randn(len(units), 3, generator=generator)
    return rows * torch.tensor([0.3, 0.0, 1.0]) + torch.tensor([0.0, 1.0, 0.0])


def spoken_in(stream, units, sizes, prosody):
    parts = zip(units.split(sizes), prosody.split(sizes))
    pieces = [stream.extend(part, False, rows) for part, rows in parts]
    return [*pieces, stream.extend(units[:0], True)]


def pieces_of(stream, units, sizes):
    pieces = [stream.extend(part, False) for part in units.split(sizes)]
    return [*pieces, stream.extend(units[:0], True)]


SIZES = [[1] * 20 + [40], [0, 7, 20, 1, 32], [60], [13] * 4 + [8]]


@pytest.mark.parametrize("sizes", SIZES)
def test_a_convolutional_vocoder_gives_the_same_wave_in_pieces(sizes):
    vocoder, (units, spembs) = hifigan(), utterance()
    whole = whole_wave(vocoder, units, spembs)
    assert whole.std() > 1e-3
    pieces = pieces_of(vocoder.stream(spembs), units, sizes)
    torch.testing.assert_close(torch.cat(pieces), whole, atol=1e-5, rtol=1e-4)


def test_the_context_of_a_convolutional_vocoder_is_enough_and_not_much_more():
    vocoder, (units, spembs) = hifigan(), utterance()
    whole, place = whole_wave(vocoder, units, spembs), 30
    units[place] = (units[place] + 1) % 12
    other = whole_wave(vocoder, units, spembs)
    changed = (whole - other)[vocoder.lead :].abs().reshape(60, -1).amax(1)
    touched = (changed > 0).nonzero()[:, 0]
    reach = max(place - int(touched[0]), int(touched[-1]) - place)
    assert reach <= vocoder.context <= reach + 2


@pytest.mark.parametrize("sizes", SIZES)
def test_griffin_lim_in_pieces_is_near_the_whole_and_does_not_click(sizes):
    vocoder, (units, spembs) = griffin_lim(), utterance()
    whole = whole_wave(vocoder, units, spembs)
    pieces = pieces_of(vocoder.stream(spembs), units, sizes)
    joined = torch.cat(pieces)
    assert joined.shape == whole.shape
    error = joined - whole
    assert error.square().sum() < TOLERANCE * whole.square().sum()
    check_seams(pieces, joined, whole)


def check_seams(pieces, joined, whole):
    """From the last sample of a piece to the first of the next is no larger a step."""
    seams = torch.tensor([len(piece) for piece in pieces]).cumsum(0)[:-1]
    seams = seams[(seams > 0) & (seams < len(whole))]
    steps, usual = joined.diff().abs(), whole.diff().abs()
    assert (steps[seams - 1] - usual[seams - 1] < 0.5 * usual.std()).all()


def flow_vocoder(kind, **options):
    torch.manual_seed(1)  # loud: random HiFTs differ by a factor of 80
    conf = {**flows.COMMON, "num_units": 12, "spembs_size": 4} | options
    vocoder = kind(**conf).eval()
    with torch.no_grad():
        for name, weight in vocoder.named_parameters():
            if name.endswith("weight.original0"):  # lengths of the kernels
                weight.mul_(3)  # sound instead of next to nothing
    return vocoder


FLOWS = [
    (FlowHiFT, dict(hift_conf=flows.HIFT)),
    (FlowVocoder, dict(renderer_conf=dict(num_iters=8))),
]


@pytest.mark.parametrize("kind, options", FLOWS)
@pytest.mark.parametrize("sizes", SIZES)
def test_a_flow_in_chunks_gives_the_wave_of_the_whole_and_does_not_click(
    kind, options, sizes
):
    vocoder = flow_vocoder(kind, chunk=8, chunk_context=4, **options)
    units, spembs = utterance()
    whole = whole_wave(vocoder, units, spembs)
    pieces = pieces_of(vocoder.stream(spembs), units, sizes)
    joined = torch.cat(pieces)
    assert joined.shape == whole.shape and whole.std() > 1e-3
    error = (joined - whole).square().sum()
    assert error < TOLERANCE * whole.square().sum()
    check_seams(pieces, joined, whole)
    if len(sizes) > 1:
        assert sum(map(len, pieces[:-1])) > len(whole) / 3
    stretch = 256 * 441 / 256  # samples a unit
    early = [len(x) / stretch for x in pieces]
    known = torch.tensor([*sizes, 0]).cumsum(0)[:-1].tolist()
    given = torch.tensor(early).cumsum(0)[:-1].tolist()
    assert all(g >= k - vocoder.context - 1 for g, k in zip(given, known))


@pytest.mark.parametrize("kind, options", FLOWS)
def test_a_flow_over_whole_utterances_waits_for_the_last_unit(kind, options):
    vocoder, (_, spembs) = flow_vocoder(kind, **options), utterance()
    assert isinstance(vocoder.stream(spembs), WholeWaveStream)
    with pytest.raises(ValueError, match="chunk_context must be at least 1, found 4"):
        flow_vocoder(kind, chunk=4, chunk_context=0, **options)


@pytest.mark.parametrize("sizes", SIZES)
def test_prosody_in_pieces_is_spoken_as_prosody_of_the_whole(sizes):
    vocoder, (units, spembs) = griffin_lim(prosody=True), utterance()
    rows = prosody_of(units)
    lengths = torch.tensor([len(units)])
    whole = vocoder.synthesize(units[None], lengths, spembs, rows[None])[0][0]
    joined = torch.cat(spoken_in(vocoder.stream(spembs), units, sizes, rows))
    error = (joined - whole).square().sum()
    assert error < TOLERANCE * whole.square().sum()
    assert (whole_wave(vocoder, units, spembs) - whole).square().sum() > 100 * error


def times_of(units):
    """Units of half to one and a half times their usual length."""
    generator = torch.Generator().manual_seed(3)
    ends = (0.02 + 0.04 * torch.rand(len(units), generator=generator)).cumsum(0)
    return torch.stack([torch.nn.functional.pad(ends[:-1], (1, 0)), ends], dim=1)


def timed_pieces(stream, units, sizes, times):
    parts = zip(units.split(sizes), times.split(sizes))
    pieces = [stream.extend(part, False, None, rows) for part, rows in parts]
    return torch.cat([*pieces, stream.extend(units[:0], True)])


def voiced(vocoder):
    """Throughout: a frame at the border of voicing may get another one in pieces."""
    with torch.no_grad():
        vocoder.network.pitch_head.weight.div_(3)
        vocoder.network.pitch_head.bias[1] = 9
    return vocoder


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("sizes", SIZES)
def test_units_with_times_in_pieces_are_spoken_as_the_whole(sizes, deep):
    vocoder, tolerance = griffin_lim(), TOLERANCE
    if deep:  # not all of the context is waited for
        vocoder, tolerance = voiced(griffin_lim(DEEP)), 10 * TOLERANCE
    units, spembs = utterance()
    times, lengths = times_of(units), torch.tensor([len(units)])
    whole = vocoder.synthesize(units[None], lengths, spembs, times=times[None])[0][0]
    frames = round(100 * float(times[-1, 1])) + vocoder.frame_offset
    assert len(whole) == frames * vocoder.hop_length
    joined = timed_pieces(vocoder.stream(spembs), units, sizes, times)
    assert joined.shape == whole.shape
    error = (joined - whole).square().sum()
    assert error < tolerance * whole.square().sum()


def test_times_are_refused_by_a_vocoder_of_equal_units():
    units, spembs = utterance(5)
    with pytest.raises(ValueError, match="equally long.*--exact_times false"):
        hifigan().synthesize(
            units[None], torch.tensor([5]), spembs, times=times_of(units)[None]
        )


def test_voiced_and_unvoiced_frames_were_tested():
    vocoder, (units, spembs) = griffin_lim(), utterance()
    f0 = vocoder.predict(units[None], torch.tensor([60]), spembs).f0
    assert 0.1 < (f0 > 0).float().mean() < 0.9


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_frames_depend_on_no_unit_beyond_the_context(layers):
    options = SMALL | dict(unit_layers=layers, pitch_layers=layers)
    torch.manual_seed(0)
    vocoder = UnitToMelGriffinLim(num_units=12, spembs_size=4, network_conf=options)
    units, spembs = utterance()
    length, place = torch.tensor([60]), 30
    mels = []
    for shift in (0, 1):
        units[place] = (units[place] + shift) % 12
        mels.append(vocoder.eval().network(units[None], length, spembs).mel[0])
    changed = (mels[0] - mels[1]).abs().amax(1).reshape(60, -1).amax(1)
    touched = (changed > 0).nonzero()[:, 0]
    reach = max(place - int(touched[0]), int(touched[-1]) - place)
    network, frames = vocoder.network, vocoder.frames_per_unit
    assert reach <= network.context(frames) <= reach + 2
    assert network.audible_context(frames) <= network.context(frames)


def test_a_vocoder_without_context_speaks_at_the_end():
    vocoder, (units, spembs) = griffin_lim(), utterance(20)
    stream = WholeWaveStream(vocoder, spembs)
    *early, end = pieces_of(stream, units, [5, 15])
    assert not any(len(piece) for piece in early)
    assert torch.equal(end, whole_wave(vocoder, units, spembs))


def test_what_lies_beyond_the_audible_context_is_hardly_audible():
    torch.manual_seed(0)
    vocoder = UnitToMelGriffinLim(num_units=12, spembs_size=4, network_conf=DEEP)
    units, spembs = utterance()
    network, frames = vocoder.eval().network, vocoder.frames_per_unit
    assert network.audible_context(frames) < network.context(frames) - 3
    mels = []
    for count in (60, 30 + network.audible_context(frames)):
        known, length = units[None, :count], torch.tensor([count])
        mels.append(network(known, length, spembs).mel[0, : 30 * frames])
    error = (mels[0] - mels[1]).abs().amax(1)
    assert 0 < error.max() < 5e-3 * mels[0].std()


@pytest.mark.parametrize("timed", [False, True])
def test_the_network_runs_first_when_there_can_be_samples(timed):
    torch.manual_seed(0)
    vocoder = UnitToMelGriffinLim(num_units=12, spembs_size=4, network_conf=DEEP)
    (units, spembs), calls = utterance(), []
    vocoder.eval().network.register_forward_hook(lambda *_: calls.append(1))
    usual = torch.arange(61) / 25
    times = torch.stack([usual[:-1], usual[1:]], dim=1) if timed else None
    stream, arrived, wave = vocoder.stream(spembs), 0, []
    while not len(wave):
        part = slice(arrived, arrived + 1)
        rows = None if times is None else times[part]
        wave, arrived = stream.extend(units[part], False, None, rows), arrived + 1
    rendered = math.ceil((vocoder.renderer.context + 2) / vocoder.frames_per_unit)
    assert arrived == vocoder.mel_context(timed) + rendered and len(calls) == 1


class WholeRenderer(GriffinLim):
    context = None


def test_a_renderer_of_whole_utterances_makes_the_vocoder_wait():
    vocoder, (_, spembs) = griffin_lim(), utterance()
    rendered = math.ceil(vocoder.renderer.context / vocoder.frames_per_unit)
    assert vocoder.context == vocoder.mel_context(timed=False) + rendered
    vocoder.renderer = WholeRenderer(vocoder.log_mel)
    assert vocoder.context is None
    assert isinstance(vocoder.stream(spembs), WholeWaveStream)


def rendered(kind, mel, path):
    vocoder = UnitToMelVocoder(
        num_units=12,
        spembs_size=4,
        frame_offset=2,
        network_conf=SMALL,
        mel_conf=mel,
        renderer=kind,
        renderer_conf={"model_file": str(path)},
    )
    return vocoder.eval()


def renderers(folder):
    """Vocoders by their kind, with small renderers of other collections."""
    tests = load_tests("vocoder", "test_renderers.py")
    for name in tests.GENERATORS:
        (folder / name).mkdir()
        path, _ = tests.write_generator(folder / name, name)
        yield name, rendered("parallel_wavegan", tests.MEL, path)
    path, _ = tests.write_vocos(folder)
    yield "vocos", rendered("vocos", tests.VOCOS_MEL, path)


def test_renderers_of_other_collections_in_pieces(tmp_path):
    units, spembs = utterance()
    for name, vocoder in renderers(tmp_path):
        whole = whole_wave(vocoder, units, spembs)
        pieces = pieces_of(vocoder.stream(spembs), units, [13] * 4 + [8])
        atol = 1e-5 * float(whole.abs().max())
        torch.testing.assert_close(torch.cat(pieces), whole, atol=atol, rtol=1e-4)
        times, lengths = times_of(units), torch.tensor([len(units)])
        whole, _ = vocoder.synthesize(units[None], lengths, spembs, None, times[None])
        timed = timed_pieces(vocoder.stream(spembs), units, [13] * 4 + [8], times)
        torch.testing.assert_close(timed, whole[0], atol=atol, rtol=1e-4)
        assert sum(map(len, pieces[:-1])) > 0, name


class FarRenderer(SingleRenderer):
    def render_one(self, log_mel, source):
        wave = log_mel.repeat_interleave(self.mel.hop_length, 0)
        return wave[:, 0].cumsum(0)


def test_a_context_without_end_is_found():
    assert FarRenderer(LogMel()).context is None


@pytest.mark.parametrize("make", [hifigan, griffin_lim])
def test_nothing_is_spoken_without_units(make):
    stream = make().stream(torch.ones(1, 4))
    none = torch.empty(0, dtype=torch.int64)
    assert len(stream.extend(none, False)) == len(stream.extend(none, True)) == 0
