import numpy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from espnet2_taste.vocoder.excitation import VoiceSource, fill_unvoiced, pulse_train

RATE, HOP = 16000, 160


def slow_fill(track):
    voiced = [value for value in track if value > 0]
    if not voiced:
        return [100.0] * len(track)
    held, result = voiced[0], []
    for value in track:
        held = value if value > 0 else held
        result.append(held)
    return result


def test_fill_unvoiced_equals_slow_loop():
    generator = torch.Generator().manual_seed(0)
    f0 = 100 + 100 * torch.rand(5, 40, generator=generator)
    f0 = f0 * (torch.rand(5, 40, generator=generator) > 0.6)
    f0[3] = 0.0
    expected = torch.tensor([slow_fill(row) for row in f0.tolist()])
    assert torch.equal(fill_unvoiced(f0), expected)


def test_pulse_train_equals_sum_of_cosines():
    f0 = torch.full((1, 20), 190.0)
    phase = 2 * numpy.pi * 190.0 / RATE * numpy.arange(1, 20 * HOP + 1)
    count = int(RATE / 2 / 190.0)
    slow = sum(numpy.cos(k * phase) for k in range(1, count + 1))
    slow = slow / numpy.sqrt(count / 2)
    fast = pulse_train(f0, HOP, RATE)[0].numpy()
    numpy.testing.assert_allclose(fast, slow, atol=2e-3)


def test_pulses_have_unit_power_at_any_f0():
    f0 = torch.tensor([[80.0] * 100, [133.0] * 100, [310.0] * 100])
    power = pulse_train(f0, HOP, RATE).square().mean(dim=1)
    torch.testing.assert_close(power, torch.ones(3), atol=0.1, rtol=0)


def test_source_of_a_longer_padding_starts_the_same_way():
    f0 = torch.tensor([[0.0, 120.0, 130.0, 0.0]])
    longer = torch.nn.functional.pad(f0, (0, 6))
    short = VoiceSource(HOP, RATE).extend(f0, last=True)
    long = VoiceSource(HOP, RATE).extend(longer, last=True)
    assert torch.equal(long[:, : short.size(1)], short)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.0, 110.0, 190.0]), min_size=1, max_size=12),
    st.lists(st.integers(0, 4), max_size=6),
)
def test_a_source_in_pieces_is_the_source_of_the_whole(track, sizes):
    f0 = torch.tensor([track, track[::-1]])
    whole = VoiceSource(HOP, RATE).extend(f0, last=True)
    source, pieces = VoiceSource(HOP, RATE), []
    for size in sizes:
        pieces.append(source.extend(f0[:, :size], last=False))
        f0 = f0[:, size:]
    pieces.append(source.extend(f0, last=True))
    torch.testing.assert_close(torch.cat(pieces, 1), whole, atol=1e-4, rtol=1e-4)
