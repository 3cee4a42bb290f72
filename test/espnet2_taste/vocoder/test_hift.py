import pytest
import torch

from espnet2_taste.vocoder.hift import (
    HarmonicSource,
    HiFTGenerator,
    Snake,
    same_length_conv,
)

SMALL = dict(n_mels=8, base_channels=16, f0_channels=8)


@pytest.fixture(scope="module")
def hift():
    torch.manual_seed(0)
    return HiFTGenerator(**SMALL).eval()


def test_shapes_and_determinism(hift):
    mel = torch.randn(2, 8, 5, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wave = hift(mel)
        assert wave.shape == (2, 5 * 256)
        assert wave.abs().max() <= 0.99
        assert torch.equal(wave, hift(mel))
        torch.testing.assert_close(wave[1:], hift(mel[1:]), atol=1e-5, rtol=1e-4)


def test_a_source_in_pieces_is_the_source_of_the_whole(hift):
    f0 = torch.tensor([[0.0, 120.0, 130.0, 0.0, 0.0, 90.0, 210.0]])
    whole, source = hift.source().extend(f0, last=True), hift.source()
    pieces = [source.extend(part, last=False) for part in f0.split([1, 3, 0, 3], 1)]
    torch.testing.assert_close(torch.cat(pieces, 1), whole, atol=1e-6, rtol=1e-5)


def test_the_context_of_a_generator_is_enough(hift):
    generator = torch.Generator().manual_seed(2)
    mel = torch.randn(1, 8, 60, generator=generator)
    source = torch.randn(1, 1, 60 * hift.hop_length, generator=generator)
    around, hop, whole = hift.context, hift.hop_length, hift.decode(mel, source)
    begin, end = 30 - around, 32 + around
    part = hift.decode(mel[..., begin:end], source[..., begin * hop : end * hop])
    part = part[:, around * hop : (around + 2) * hop]
    torch.testing.assert_close(part, whole[:, 30 * hop : 32 * hop])


def test_sines_equal_a_slow_loop():
    source = HarmonicSource(8000, num_harmonics=2)
    f0 = torch.tensor([[100.0] * 40 + [0.0] * 10])
    phases = torch.tensor([[[9.0], [0.5], [-1.0]]])
    noise = torch.randn(1, 3, 50, generator=torch.Generator().manual_seed(0))
    found = source.sines(f0, phases, noise)[0]
    for harmonic in range(3):
        start = phases[0, harmonic, 0].item() if harmonic else 0.0
        turns = 0.0
        for sample, hertz in enumerate(f0[0].tolist()):
            turns += hertz * (harmonic + 1) / 8000
            drawn = noise[0, harmonic, sample]
            angle = torch.tensor(2 * torch.pi * turns + start)
            wanted = 0.1 * torch.sin(angle) + 0.003 * drawn if hertz else drawn / 30
            assert abs(found[harmonic, sample] - wanted) < 1e-4


def test_long_utterances_keep_their_phase():
    source = HarmonicSource(22050)
    samples = 22050 * 30
    f0 = torch.full((1, samples), 333.3)
    silent = torch.zeros(1, 9, samples)
    found = source.sines(f0, torch.zeros(1, 9, 1), silent)[0, 8, -1].double()
    turns = 9 * torch.tensor(333.3).double() / 22050 * samples % 1.0
    assert abs(found - 0.1 * torch.sin(2 * torch.pi * turns)) < 1e-3


def test_weight_norm_starts_as_the_direction_itself():
    torch.manual_seed(0)
    conv = same_length_conv(3, 4, 5)
    torch.testing.assert_close(conv.weight, conv.state_dict()["weight_v"])


def test_weights_are_saved_and_read_under_the_published_names():
    conv, other = same_length_conv(3, 4, 5), same_length_conv(3, 4, 5)
    state = conv.state_dict()
    assert set(state) == {"weight_g", "weight_v", "bias"}
    state["weight_g"] = 2 * state["weight_g"]
    other.load_state_dict(state)
    torch.testing.assert_close(other.weight, 2 * conv.weight)
    torch.testing.assert_close(other.state_dict(), state)


def test_snake():
    x = torch.linspace(-2, 2, 5)[None, None]
    torch.testing.assert_close(Snake(1)(x), x + torch.sin(x) ** 2)


def test_gradients_reach_every_parameter_but_the_f0_classifier_path(hift):
    mel = torch.randn(1, 8, 4, generator=torch.Generator().manual_seed(1))
    hift.zero_grad()
    (hift(mel).square().sum() + hift.f0_predictor(mel).sum()).backward()
    without = [n for n, p in hift.named_parameters() if p.grad is None]
    hift.zero_grad()
    assert without == []
