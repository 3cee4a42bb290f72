"""HiFi-GAN on units: batches, segments, both losses, sizes."""

import pytest
import torch
from tiny_models import tiny_hifigan

from espnet2_taste.vocoder.unit_hifigan import UnitHiFiGAN, samples_per_unit

TINY = tiny_hifigan(32, num_units=12, spembs_size=4, unit_offset=0.02)


@pytest.fixture(scope="module")
def vocoder():
    torch.manual_seed(0)
    return UnitHiFiGAN(**TINY).eval()


@pytest.fixture(scope="module")
def batch():
    generator = torch.Generator().manual_seed(1)
    units = torch.randint(0, 12, (3, 9), generator=generator)
    units[1, 6:], units[2, 2:] = -1, -1
    return units, torch.tensor([9, 6, 2]), torch.randn(3, 4, generator=generator)


def with_speech(batch):
    speech = 0.1 * torch.randn(3, 6400, generator=torch.Generator().manual_seed(2))
    return *batch, speech, torch.tensor([6400, 4200, 1600])


def test_batch_equals_items(vocoder, batch):
    units, lengths, spembs = batch
    waves, samples = vocoder.synthesize(units, lengths, spembs)
    assert samples.tolist() == [n * 640 + 320 for n in lengths.tolist()]
    for row, length in enumerate(lengths.tolist()):
        rows = slice(row, row + 1)
        alone, _ = vocoder.synthesize(units[rows, :length], lengths[rows], spembs[rows])
        torch.testing.assert_close(waves[row, : samples[row]], alone[0])
        assert not waves[row, samples[row] :].any()


def test_pieces_are_those_of_the_whole_utterance(vocoder, batch):
    given = with_speech(batch)
    whole, _ = vocoder.synthesize(*batch)
    torch.manual_seed(3)
    made, true = vocoder._segments(*given)
    assert made.shape == true.shape == (3, 1, 6 * 640)
    starts = [
        start
        for start in range(4)
        if torch.equal(
            true[0, 0], given[3][0, start * 640 + 320 : (start + 6) * 640 + 320]
        )
    ]
    assert len(starts) == 1
    middle = slice(2 * 640, 4 * 640)  # the edges of a piece lack their neighbours
    piece = whole[0, starts[0] * 640 + 320 :][middle]
    torch.testing.assert_close(made[0, 0, middle], piece, atol=2e-2, rtol=0.1)


def test_each_loss_trains_its_side(vocoder, batch):
    for turn, side in (
        (vocoder.generator_loss, vocoder.generator),
        (vocoder.discriminator_loss, vocoder.discriminator),
    ):
        vocoder.zero_grad()
        loss, stats = turn(*with_speech(batch))
        loss.backward()
        assert torch.isfinite(loss) and all(v.dim() == 0 for v in stats.values())
        without = [n for n, p in side.named_parameters() if p.grad is None]
        assert without == []
        if side is vocoder.discriminator:
            assert all(p.grad is None for p in vocoder.generator.parameters())
    vocoder.zero_grad()


def test_scales_must_make_a_unit():
    with pytest.raises(ValueError, match=r"makes 512 samples .* lasts 640"):
        samples_per_unit(16000, 25.0, [8, 8, 8])
