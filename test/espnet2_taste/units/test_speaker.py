"""Speaker embeddings: level, padding and content do not count, the spectrum does."""

import pytest
import torch
from torch.nn import functional

from espnet2_taste.units.batches import SpeechBatch
from espnet2_taste.units.speaker import MelStatistics

RATE = 16000


def voice(pitch, seconds=0.5, seed=0):
    """Harmonics of one pitch with a little noise."""
    time = torch.arange(int(seconds * RATE)) / RATE
    waves = [torch.sin(6.2832 * pitch * h * time) / h for h in range(1, 20)]
    generator = torch.Generator().manual_seed(seed)
    return 0.05 * sum(waves) + 0.001 * torch.randn(len(time), generator=generator)


@pytest.fixture(scope="module")
def embedder():
    pitches = [90, 110, 130, 160, 190, 220]
    waves = {str(p): voice(p).numpy() for p in pitches}
    embedder = MelStatistics().eval()
    embedder.fit([SpeechBatch.from_arrays(waves)])
    return embedder


def embed(embedder, wave):
    return embedder(wave.unsqueeze(0), torch.tensor([len(wave)]))[0]


def test_length_one_and_deterministic(embedder):
    spembs = embed(embedder, voice(120))
    assert spembs.shape == (embedder.size,)
    torch.testing.assert_close(spembs.norm(), torch.tensor(1.0))
    assert torch.equal(spembs, embed(embedder, voice(120)))


def test_same_voice_is_nearer_than_another(embedder):
    one, same, other = (
        embed(embedder, wave)
        for wave in (voice(100), voice(101, 0.8, seed=5), voice(210))
    )
    assert one @ same > 0.8 > one @ other


def test_level_and_silence_do_not_count(embedder):
    wave = voice(120)
    torch.testing.assert_close(
        embed(embedder, wave), embed(embedder, 0.3 * wave), atol=0.02, rtol=0
    )
    quiet = functional.pad(wave, (4000, 4000))
    assert embed(embedder, wave) @ embed(embedder, quiet) > 0.8


def test_padding_changes_nothing(embedder):
    wave = voice(120)
    padded = torch.stack([functional.pad(wave, (0, 4000), value=0.5), voice(90, 0.75)])
    got = embedder(padded, torch.tensor([len(wave), padded.size(1)]))
    torch.testing.assert_close(got[0], embed(embedder, wave), atol=1e-5, rtol=1e-4)


def test_state_round_trip_and_error(embedder):
    again = MelStatistics()
    again.load_fitted_state(embedder.fitted_state())
    assert torch.equal(embed(again, voice(120)), embed(embedder, voice(120)))
    with pytest.raises(ValueError, match="80"):
        MelStatistics().load_fitted_state({"mean": torch.zeros(3)})
