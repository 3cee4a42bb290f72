import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from espnet2_taste.vocoder.flow import LengthRegulator, UnitFlow, stretch_index
from espnet2_taste.vocoder.flow_estimator import FlowEstimator, MaskedGroupNorm

SMALL = dict(
    num_units=20,
    spembs_size=6,
    n_mels=8,
    encoder_size=16,
    encoder_blocks=1,
    attention_heads=2,
    linear_units=16,
    estimator_conf=dict(
        channels=[16, 16], num_blocks=1, num_mid_blocks=1, heads=2, head_size=4
    ),
    decoder_conf=dict(num_steps=3),
)


@pytest.fixture(scope="module")
def flow():
    torch.manual_seed(0)
    return UnitFlow(**SMALL).eval()


@pytest.fixture(scope="module")
def batch():
    generator = torch.Generator().manual_seed(1)
    units = torch.randint(0, 20, (3, 9), generator=generator)
    spembs = torch.randn(3, 6, generator=generator)
    return units, torch.tensor([9, 6, 2]), spembs, torch.tensor([15, 10, 3])


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 200)), min_size=1, max_size=4)
)
def test_stretch_index_equals_interpolate(pairs):
    lengths = torch.tensor([pair[0] for pair in pairs])
    new_lengths = torch.tensor([pair[1] for pair in pairs])
    index = stretch_index(lengths, new_lengths)
    for row, (length, new_length) in enumerate(pairs):
        ramp = torch.arange(float(length))[None, None]
        slow = torch.nn.functional.interpolate(ramp, size=new_length, mode="nearest")
        assert index[row, :new_length].tolist() == slow[0, 0].long().tolist()
        assert (index[row, new_length:] <= length - 1).all()


def test_masked_norm_of_an_unpadded_item_is_group_norm():
    norm = MaskedGroupNorm(2, 6)
    torch.nn.init.normal_(norm.weight)
    plain = torch.nn.GroupNorm(2, 6)
    plain.load_state_dict(norm.state_dict())
    x = torch.randn(2, 6, 7)
    torch.testing.assert_close(norm(x, torch.ones(2, 1, 7)), plain(x))


def test_length_regulator_ignores_padding():
    torch.manual_seed(0)
    regulator = LengthRegulator(4)
    x = torch.randn(2, 7, 4)
    both = regulator(x, torch.tensor([7, 3]), torch.tensor([12, 5]))
    alone = regulator(x[1:, :3], torch.tensor([3]), torch.tensor([5]))
    torch.testing.assert_close(both[1:, :, :5], alone, atol=1e-5, rtol=1e-4)
    assert both[1, :, 5:].abs().max() == 0


@pytest.mark.parametrize("frames", [1, 2, 7, 10])
def test_estimator_ignores_padding(frames):
    torch.manual_seed(0)
    estimator = FlowEstimator(8, **SMALL["estimator_conf"]).eval()
    x, mu, condition = torch.randn(3, 1, 8, 13)
    mask = (torch.arange(13) < frames).float()[None, None]
    time, speaker = torch.tensor([0.3]), torch.randn(1, 8)
    padded = estimator(x * mask, mask, mu * mask, time, speaker, condition * mask)
    cut = [tensor[:, :, :frames] for tensor in (x, mask, mu, condition)]
    alone = estimator(*cut[:3], time, speaker, cut[3])
    torch.testing.assert_close(padded[:, :, :frames], alone, atol=1e-5, rtol=1e-4)
    assert not padded[:, :, frames:].any()


def test_batch_equals_items_and_repeats(flow, batch):
    units, lengths, spembs, frames = batch
    mel = flow.synthesize(units, lengths, spembs, frames)
    assert mel.shape == (3, 8, 15)
    assert torch.equal(mel, flow.synthesize(units, lengths, spembs, frames))
    for row in range(3):
        rows = slice(row, row + 1)
        alone = flow.synthesize(
            units[rows, : lengths[row]], lengths[rows], spembs[rows], frames[rows]
        )
        torch.testing.assert_close(
            mel[rows, :, : frames[row]], alone, atol=1e-4, rtol=1e-3
        )
        assert not mel[row, :, frames[row] :].any()


def test_given_noise_is_used(flow, batch):
    units, lengths, spembs, frames = batch
    noise = torch.randn(3, 8, 15, generator=torch.Generator().manual_seed(3))
    first = flow.synthesize(units, lengths, spembs, frames, noise)
    assert torch.equal(first, flow.synthesize(units, lengths, spembs, frames, noise))
    assert not torch.allclose(first, flow.synthesize(units, lengths, spembs, frames))


def test_loss_reaches_every_parameter(flow, batch):
    units, lengths, spembs, frames = batch
    torch.manual_seed(0)
    flow.zero_grad()
    flow(units, lengths, spembs, torch.randn(3, 8, 15), frames).backward()
    without = [n for n, p in flow.named_parameters() if p.grad is None]
    flow.zero_grad()
    assert without == []


def test_loss_ignores_what_lies_in_the_padding(flow, batch):
    units, lengths, spembs, frames = batch
    mel = torch.randn(3, 8, 15, generator=torch.Generator().manual_seed(4))
    noisy = mel.clone()
    noisy[1, :, 10:] = 50.0
    torch.manual_seed(0)
    loss = flow(units, lengths, spembs, mel, frames)
    torch.manual_seed(0)
    torch.testing.assert_close(flow(units, lengths, spembs, noisy, frames), loss)


def test_learns_a_constant_mel(batch):
    torch.manual_seed(0)
    units, lengths, spembs, frames = batch
    flow = UnitFlow(**SMALL, dropout_rate=0.0)
    flow.decoder.condition_drop = 0.0
    mel = torch.linspace(-1, 1, 8)[None, :, None].expand(3, 8, 15)
    optimizer = torch.optim.Adam(flow.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = flow(units, lengths, spembs, mel, frames)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
