import numpy
import pytest
import torch

from espnet2_taste.data.log_mel import LogMel
from espnet2_taste.metrics.pitch import track_pitch
from espnet2_taste.vocoder.griffin_lim import GriffinLim, invert_mel

RATE = 16000


def harmonic_tone(f0, seconds=0.8):
    """A tone whose F0 follows ``f0`` (callable of time in seconds)."""
    time = torch.arange(int(seconds * RATE)) / RATE
    phase = torch.cumsum(2 * torch.pi * f0(time) / RATE, 0)
    return 0.1 * sum(torch.cos(k * phase) / k for k in range(1, 16))


@pytest.fixture(scope="module")
def mel():
    return LogMel(sample_rate=RATE)


def test_log_mel_ignores_padding(mel):
    tone = harmonic_tone(lambda t: 150 + 0 * t)[None]
    padded = torch.nn.functional.pad(tone, (0, 3000), value=7.0)
    alone, length = mel(tone, torch.tensor([tone.size(1)]))
    padded_mel, padded_length = mel(padded, torch.tensor([tone.size(1)]))
    assert length.tolist() == padded_length.tolist() == [alone.size(1)]
    torch.testing.assert_close(padded_mel[:, : alone.size(1)], alone)


def test_log_mel_refuses_impossible_windows():
    with pytest.raises(ValueError, match="hop_length <= win_length <= n_fft"):
        LogMel(n_fft=256, win_length=512)


def test_uncentred_frames_tile_the_speech():
    mel = LogMel(22050, n_fft=1024, win_length=1024, hop_length=256, center=False)
    frames, lengths = mel(torch.randn(2, 2560), torch.tensor([2560, 1400]))
    assert frames.shape == (2, 10, 80)
    assert lengths.tolist() == [10, 5]


def test_inversion_matches_the_mel_bands(mel):
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(1, 4, 513, generator=generator) + 0.1
    wanted = truth @ mel.filters
    found = invert_mel(wanted, mel.filters, torch.ones_like(truth), 60)
    assert (found >= 0).all()
    error = ((found @ mel.filters - wanted) / wanted).abs().max()
    assert error < 0.1


@pytest.mark.parametrize("with_f0", [True, False])
def test_reconstructs_the_f0_of_a_tone(mel, with_f0):
    def contour(t):
        return 160 + 30 * torch.sin(2 * torch.pi * 1.5 * t)

    tone = harmonic_tone(contour)[None]
    log_mel, lengths = mel(tone, torch.tensor([tone.size(1)]))
    truth = contour(torch.arange(log_mel.size(1)) * 0.01)
    f0 = truth[None] if with_f0 else None
    wave, wave_lengths = GriffinLim(mel)(log_mel, lengths, f0)
    assert wave_lengths.tolist() == [log_mel.size(1) * 160] == [wave.size(1)]
    tracked = track_pitch(wave[0].numpy(), RATE)[5 : log_mel.size(1) - 5]
    error = numpy.abs(tracked / truth[5:-5].numpy() - 1)
    assert numpy.median(error) < 0.02
    if with_f0:
        assert (tracked > 0).mean() > 0.95
        assert numpy.corrcoef(tracked, truth[5:-5].numpy())[0, 1] > 0.98


def test_batch_equals_its_items_and_repeats(mel):
    tone = harmonic_tone(lambda t: 200 + 0 * t, 0.5)
    batch = torch.stack([tone, 0.5 * tone])
    log_mel, lengths = mel(batch, torch.tensor([8000, 4500]))
    f0 = torch.full(log_mel.shape[:2], 200.0)
    f0[1, 10:20] = 0.0
    vocoder = GriffinLim(mel, num_iters=8)
    together, samples = vocoder(log_mel, lengths, f0)
    again, _ = vocoder(log_mel, lengths, f0)
    frames = int(lengths[1])
    alone, _ = vocoder(log_mel[1:, :frames], lengths[1:], f0[1:, :frames])
    assert torch.equal(together, again)
    torch.testing.assert_close(
        together[1, : samples[1]], alone[0], atol=1e-5, rtol=1e-4
    )
    assert together[1, samples[1] :].abs().max() == 0


def test_momentum_is_checked(mel):
    with pytest.raises(ValueError, match="momentum"):
        GriffinLim(mel, momentum=1.0)
