import pytest
import torch

from espnet2_taste.vocoder.flow_vocoder import FlowHiFT, FlowVocoder

FLOW = dict(
    encoder_size=16,
    encoder_blocks=1,
    attention_heads=2,
    linear_units=16,
    estimator_conf=dict(
        channels=[16, 16], num_blocks=1, num_mid_blocks=1, heads=2, head_size=4
    ),
    decoder_conf=dict(num_steps=2),
)
COMMON = dict(num_units=20, spembs_size=6, flow_conf=FLOW)
HIFT = dict(base_channels=16, f0_channels=8)


@pytest.fixture(scope="module", params=["flow", "flow_hift"])
def vocoder(request):
    torch.manual_seed(0)
    build = dict(
        flow=lambda: FlowVocoder(renderer_conf=dict(num_iters=2), **COMMON),
        flow_hift=lambda: FlowHiFT(hift_conf=HIFT, **COMMON),
    )
    return build[request.param]().eval()


@pytest.fixture(scope="module")
def batch():
    generator = torch.Generator().manual_seed(1)
    units = torch.randint(0, 20, (3, 9), generator=generator)
    units[1, 6:], units[2, 2:] = -1, -1
    return units, torch.tensor([9, 6, 2]), torch.randn(3, 6, generator=generator)


def training_batch():
    generator = torch.Generator().manual_seed(2)
    return dict(
        speech=0.1 * torch.randn(3, 5000, generator=generator),
        speech_lengths=torch.tensor([5000, 3300, 900]),
        pitch=torch.full((3, 23), 150.0),
    )


def test_batch_equals_items(vocoder, batch):
    units, lengths, spembs = batch
    waves, samples = vocoder.synthesize(units, lengths, spembs)
    again, _ = vocoder.synthesize(units, lengths, spembs)
    assert torch.equal(waves, again)
    assert samples.tolist() == [15 * 256, 10 * 256, 3 * 256]
    for row, length in enumerate(lengths.tolist()):
        rows = slice(row, row + 1)
        alone, _ = vocoder.synthesize(units[rows, :length], lengths[rows], spembs[rows])
        torch.testing.assert_close(
            waves[row, : samples[row]], alone[0], atol=1e-3, rtol=1e-3
        )
        assert not waves[row, samples[row] :].any()


def test_mel_lengths_are_the_published_ones(vocoder):
    units = torch.arange(1, 1500)
    published = [max(1, int(n / 50 * 22050 / 256)) for n in units.tolist()]
    assert vocoder.mel_lengths(units).tolist() == published


def test_training_loss_is_finite_and_skips_hift(vocoder, batch):
    vocoder.zero_grad()
    loss, stats = vocoder(*batch, **training_batch())
    loss.backward()
    assert torch.isfinite(loss) and "flow" in stats
    with_gradient = {n.split(".")[0] for n, p in vocoder.named_parameters() if
                     p.grad is not None}  # fmt: skip
    vocoder.zero_grad()
    assert with_gradient == {"flow"}


def test_hift_can_be_trained_too(batch):
    torch.manual_seed(0)
    vocoder = FlowHiFT(hift_conf=HIFT, hift_weight=1.0, hift_frames=8, **COMMON)
    loss, stats = vocoder(*batch, **training_batch())
    loss.backward()
    assert set(stats) == {"flow", "hift_mel_l1", "hift_f0_l1"}
    without = [n for n, p in vocoder.named_parameters() if p.grad is None]
    assert without == []


def test_hop_of_hift_must_fit_the_mel():
    with pytest.raises(ValueError, match="HiFT makes 256 samples .* hop_length is 160"):
        FlowHiFT(mel_conf=dict(hop_length=160), hift_conf=HIFT, **COMMON)
