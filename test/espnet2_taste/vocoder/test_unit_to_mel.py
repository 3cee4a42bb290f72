import pytest
import torch

from espnet2_taste.vocoder.unit_to_mel import (
    REFERENCE_F0,
    ConvBlock,
    UnitToMel,
    harmonic_features,
)
from espnet2_taste.vocoder.unit_to_mel_vocoder import (
    UnitToMelGriffinLim,
    frames_per_unit,
)

SMALL = dict(unit_size=16, unit_layers=2, frame_size=12, pitch_layers=2, frame_layers=2)


@pytest.fixture(scope="module")
def vocoder():
    torch.manual_seed(0)
    return UnitToMelGriffinLim(
        num_units=20,
        spembs_size=6,
        frame_offset=2,
        network_conf=SMALL,
        griffin_lim_conf=dict(num_iters=2),
    ).eval()


@pytest.fixture(scope="module")
def batch():
    generator = torch.Generator().manual_seed(1)
    units = torch.randint(0, 20, (3, 12), generator=generator)
    lengths = torch.tensor([12, 7, 3])
    units[torch.arange(12)[None] >= lengths[:, None]] = -1
    return units, lengths, torch.randn(3, 6, generator=generator)


def test_shapes(vocoder, batch):
    units, lengths, spembs = batch
    prediction = vocoder.network(units.clamp(min=0), lengths, spembs)
    assert prediction.mel.shape == (3, 48, 80)
    assert prediction.f0.shape == prediction.voicing.shape == (3, 48)
    assert prediction.lengths.tolist() == [48, 28, 12]
    assert ((prediction.f0 > 0) == (prediction.voicing > 0)).all()


def test_padding_never_changes_a_result(vocoder, batch):
    units, lengths, spembs = batch
    together = vocoder.network(units.clamp(min=0), lengths, spembs)
    noise = torch.where(units < 0, 13, units)
    noisy = vocoder.network(noise, lengths, spembs)
    for row, length in enumerate(lengths.tolist()):
        alone = vocoder.network(
            units[row : row + 1, :length], lengths[row : row + 1], spembs[row : row + 1]
        )
        for other in (together, noisy):
            torch.testing.assert_close(
                other.mel[row, : 4 * length], alone.mel[0], atol=1e-5, rtol=1e-4
            )
            torch.testing.assert_close(
                other.log_f0[row, : 4 * length], alone.log_f0[0], atol=1e-5, rtol=1e-4
            )


def test_synthesis_is_deterministic_and_batch_equals_items(vocoder, batch):
    units, lengths, spembs = batch
    wave, samples = vocoder.synthesize(units, lengths, spembs)
    again, _ = vocoder.synthesize(units, lengths, spembs)
    assert torch.equal(wave, again)
    assert samples.tolist() == [(4 * n + 2) * 160 for n in lengths.tolist()]
    assert wave.shape == (3, 50 * 160) and wave.abs().max() <= 1
    assert wave[:, :320].abs().max() == 0
    for row, length in enumerate(lengths.tolist()):
        alone, _ = vocoder.synthesize(
            units[row : row + 1, :length], lengths[row : row + 1], spembs[row : row + 1]
        )
        torch.testing.assert_close(
            wave[row, : samples[row]], alone[0], atol=1e-3, rtol=1e-3
        )


def test_loss_ignores_padding(vocoder, batch):
    units, lengths, spembs = batch
    speech = 0.1 * torch.randn(3, 8200, generator=torch.Generator().manual_seed(2))
    samples = torch.tensor([8200, 5000, 2400])
    pitch = torch.full((3, 52), 120.0)
    loss, stats = vocoder(units, lengths, spembs, speech, samples, pitch)
    longer = torch.nn.functional.pad(speech, (0, 4000), value=0.7)
    padded = torch.nn.functional.pad(units, (0, 5), value=-1)
    pitch = torch.nn.functional.pad(pitch, (0, 9))
    same, _ = vocoder(padded, lengths, spembs, longer, samples, pitch)
    torch.testing.assert_close(loss, same)
    assert set(stats) == {
        "mel_l1", "mel_l2", "log_f0_l1", "voicing_bce", "voicing_error"
    }  # fmt: skip


def test_gradients_reach_every_parameter(vocoder, batch):
    units, lengths, spembs = batch
    speech = 0.1 * torch.randn(3, 8200, generator=torch.Generator().manual_seed(2))
    pitch = torch.full((3, 52), 120.0)
    loss, _ = vocoder(units, lengths, spembs, speech, torch.tensor([8200] * 3), pitch)
    vocoder.zero_grad()
    loss.backward()
    without = [
        name
        for name, parameter in vocoder.named_parameters()
        if parameter.grad is None or parameter.grad.abs().sum() == 0
    ]
    vocoder.zero_grad()
    assert without == []


def test_a_batch_without_voice_or_with_missing_speech_has_a_finite_loss(vocoder):
    units = torch.zeros(1, 8, dtype=torch.long)
    loss, _ = vocoder(
        units,
        torch.tensor([8]),
        torch.randn(1, 6),
        torch.zeros(1, 1600),
        torch.tensor([1600]),
        torch.zeros(1, 11),
    )
    assert torch.isfinite(loss)


def test_harmonic_features_peak_at_harmonics():
    frequencies = torch.tensor([100.0, 150.0, 200.0, 300.0])
    features = harmonic_features(torch.tensor([[100.0, 0.0]]), frequencies)
    torch.testing.assert_close(
        features[0, 0, 1:5], torch.tensor([1.0, -1.0, 1.0, 1.0]), atol=0.05, rtol=0
    )
    expected = torch.tensor(100.0 / REFERENCE_F0).log()
    torch.testing.assert_close(features[0, 0, 5], expected)
    assert features[0, 1].abs().max() == 0


def test_pitch_is_taken_at_the_frames_of_the_units(vocoder):
    pitch = torch.arange(30.0)[None]
    found = vocoder._f0_of_frames(pitch, 32)
    assert found[0, :28].tolist() == list(range(2, 30))
    assert found[0, 28:].tolist() == [0.0] * 4


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(units=torch.tensor([[0, 20]])), "0 .. 19, found 0 .. 20"),
        (dict(spembs=torch.zeros(1, 5)), r"\(B, 6\), found \(1, 5\)"),
        (dict(units_lengths=torch.tensor([0])), "units_lengths must lie in 1 .. 2"),
    ],
)
def test_bad_inputs_are_named(vocoder, change, message):
    inputs = dict(
        units=torch.tensor([[0, 1]]),
        units_lengths=torch.tensor([2]),
        spembs=torch.zeros(1, 6),
    )
    with pytest.raises(ValueError, match=message):
        vocoder.synthesize(**{**inputs, **change})


def test_prosody_moves_pitch_and_none_is_as_zeros(batch):
    torch.manual_seed(0)
    conf = dict(num_units=20, spembs_size=6, network_conf=SMALL, prosody=True)
    vocoder = UnitToMelGriffinLim(**conf).eval()
    units, lengths, spembs = batch
    units = units.clamp(min=0)
    rows = torch.tensor([0.3, 1.0, 0.5]).expand(3, 12, 3)
    none = vocoder.network(units, lengths, spembs)
    zeros = vocoder.network(units, lengths, spembs, prosody=0 * rows)
    given = vocoder.network(units, lengths, spembs, prosody=rows)
    assert torch.equal(none.log_f0, zeros.log_f0)
    assert (given.log_f0 != none.log_f0).any()


@pytest.mark.parametrize("dropout, hidden", [(0.0, 0), (1.0, 3)])
def test_prosody_is_measured_in_training_and_hidden_in_a_share(batch, dropout, hidden):
    conf = dict(num_units=20, spembs_size=6, network_conf=SMALL, prosody=True)
    vocoder = UnitToMelGriffinLim(**conf, prosody_dropout=dropout)
    pitch = torch.full((3, 52), 300.0)
    arguments = pitch, torch.randn(3, 8200), torch.tensor([8200] * 3), 12
    rows = vocoder._measured(*arguments)
    assert int((rows == 0).all(-1).all(-1).sum()) == hidden
    rows = vocoder.eval()._measured(*arguments)
    torch.testing.assert_close(rows[..., 0], torch.full((3, 12), 2.0).log())


def test_measured_prosody_is_noisy_in_training_alone(batch):
    torch.manual_seed(0)
    conf = dict(num_units=20, spembs_size=6, network_conf=SMALL, prosody=True)
    vocoder = UnitToMelGriffinLim(**conf, prosody_dropout=0.0, prosody_noise=0.5)
    units = 1000
    speech = torch.ones(3, 640 * units)
    arguments = torch.full((3, 4 * units), 150.0), speech, torch.tensor([640000] * 3)
    noise = vocoder._measured(*arguments, units) - vocoder.eval()._measured(
        *arguments, units
    )
    deviations = noise.flatten(0, 1).std(0)
    torch.testing.assert_close(
        deviations, torch.tensor([0.1, 0.5, 0.5]), rtol=0.05, atol=0.0
    )
    again = vocoder._measured(*arguments, units)
    assert torch.equal(again, vocoder._measured(*arguments, units))


def test_prosody_is_refused_by_a_vocoder_that_was_trained_without(vocoder, batch):
    with pytest.raises(ValueError, match="takes no prosody.*--use_prosody false"):
        vocoder.synthesize(*batch, torch.zeros(3, 12, 3))


def test_units_have_the_frames_that_their_times_say(vocoder, batch):
    units, lengths, spembs = batch
    sizes = torch.randint(20, 60, units.shape) / 1000
    ends = sizes.cumsum(1)
    times = torch.stack([ends - sizes, ends], dim=-1)
    waves, samples = vocoder.synthesize(units, lengths, spembs, times=times)
    for row, count in enumerate(lengths.tolist()):
        part = slice(row, row + 1)
        alone, size = vocoder.synthesize(
            units[part, :count],
            lengths[part],
            spembs[part],
            times=times[part, :count],
        )
        frames = round(float(times[row, count - 1, 1]) * 100) + vocoder.frame_offset
        assert size.tolist() == samples[part].tolist() == [frames * 160]
        torch.testing.assert_close(
            waves[row, : int(size)], alone[0], atol=1e-3, rtol=1e-3
        )


def test_times_at_the_rate_of_the_units_change_nothing(vocoder, batch):
    units, lengths, spembs = batch
    begin = torch.arange(units.size(1)).expand_as(units) / 25
    times = torch.stack([begin, begin + 1 / 25], dim=-1)
    wave, samples = vocoder.synthesize(units, lengths, spembs, times=times)
    usual, usual_samples = vocoder.synthesize(units, lengths, spembs)
    assert torch.equal(samples, usual_samples) and torch.equal(wave, usual)


def test_frames_per_unit_must_be_whole():
    assert frames_per_unit(16000, 320, 25.0) == 2
    with pytest.raises(ValueError, match="2.5000 mel frames a unit"):
        frames_per_unit(16000, 256, 25.0)


def test_even_kernels_are_refused():
    with pytest.raises(ValueError, match="odd, found 4"):
        ConvBlock(8, 4, 1, 0.0)


def test_network_uses_the_given_f0(vocoder, batch):
    units, lengths, spembs = batch
    network: UnitToMel = vocoder.network
    low = network(units.clamp(min=0), lengths, spembs, torch.full((3, 48), 100.0))
    high = network(units.clamp(min=0), lengths, spembs, torch.full((3, 48), 200.0))
    assert torch.equal(low.log_f0, high.log_f0)
    assert (low.mel - high.mel).abs().max() > 1e-3
