"""k-means: against a slow loop, on clear clusters, as units of a batch."""

import weakref
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from espnet2_taste.tokenizer.encoders.abs_encoder import AbsSpeechEncoder
from espnet2_taste.units import kmeans
from espnet2_taste.units.batches import SpeechBatch
from espnet2_taste.units.kmeans import FrameDraw, KmeansUnits, fit_kmeans, nearest


class HopEncoder(AbsSpeechEncoder):
    """Frames are pairs of samples."""

    key_size = value_size = 2
    frame_rate, sample_rate, num_layers, value_layer = 25.0, 50, 1, 1

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.freeze()

    def layer_states(self, speech, speech_lengths, layers):
        frames = speech[:, : speech.size(1) // 2 * 2].unflatten(1, (-1, 2))
        return [frames * layer for layer in layers], frames, speech_lengths // 2


@pytest.fixture
def hops(monkeypatch):
    """A recognizer with that encoder."""
    found = SimpleNamespace(frame_encoder=lambda layer: HopEncoder())
    monkeypatch.setattr(kmeans, "load_recognizer", lambda *_: found)
    return "hops"


def blobs():
    generator = torch.Generator().manual_seed(0)
    centers = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    noise = 0.3 * torch.randn(4, 30, 2, generator=generator)
    return centers, (centers.unsqueeze(1) + noise).flatten(0, 1)


def test_nearest_equals_slow_loop():
    frames, centroids = torch.randn(3, 5, 4), torch.randn(6, 4)
    units = nearest(frames, centroids)
    for index in [(0, 0), (1, 3), (2, 4)]:
        distances = [(frames[index] - c).norm().item() for c in centroids]
        assert units[index] == distances.index(min(distances))


@pytest.mark.parametrize("seed", range(5))
def test_clear_clusters_are_found(seed):
    centers, frames = blobs()
    centroids = fit_kmeans(frames, 4, seed)
    assert (torch.cdist(centers, centroids).min(1).values < 0.3).all()


def test_same_seed_same_units_and_more_units_than_places():
    frames = torch.zeros(20, 2)
    frames[10:] = 1.0
    assert torch.isfinite(fit_kmeans(frames, 5, 0)).all()
    _, frames = blobs()
    torch.testing.assert_close(fit_kmeans(frames, 7, 3), fit_kmeans(frames, 7, 3))


def test_units_of_a_batch_and_their_state(hops):
    extractor = KmeansUnits(hops, layer=1, num_units=4)
    _, frames = blobs()
    speech = frames.flatten().repeat(2, 1)  # (2, 240)
    lengths = torch.tensor([240, 7])
    facts = extractor.fit([SpeechBatch(["a", "b"], speech, lengths)], seed=0)
    assert facts["frames"] == 123 and 3.5 < facts["unit_perplexity"] <= 4.0
    units, unit_lengths = extractor(speech, lengths)
    assert unit_lengths.tolist() == [120, 3]
    assert (units[1, 3:] == -1).all() and (units[1, :3] == units[0, :3]).all()
    assert len(set(units[0, :30].tolist())) == 1

    again = KmeansUnits(hops, layer=1, num_units=4)
    again.load_fitted_state(extractor.fitted_state())
    assert torch.equal(again(speech, lengths)[0], units)


def test_errors(hops):
    with pytest.raises(ValueError, match="3 frames.*5 units"):
        fit_kmeans(torch.randn(3, 2), 5)
    with pytest.raises(ValueError, match="layer 2"):
        KmeansUnits(hops, layer=2, num_units=4)
    with pytest.raises(ValueError, match=r"centroids of 4 rows.*\(3, 2\)"):
        KmeansUnits(hops, num_units=4).load_fitted_state(
            {"centroids": torch.zeros(3, 2)}
        )


def drawn(parts, count, seed=0):
    """A draw that has read parts, (F, D) each."""
    draw = FrameDraw(count, seed)
    for part in parts:
        draw.add(part)
    return draw


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(1, 60))
def test_drawn_frames_are_different_ones_of_those_that_were_read(sizes, count):
    numbers = torch.arange(sum(sizes), dtype=torch.float32).unsqueeze(1)
    draw = drawn(numbers.split(sizes), count)
    if not sum(sizes):
        with pytest.raises(ValueError, match="the set is empty"):
            draw.frames()
        return
    frames, shuffled = draw.frames().squeeze(1), draw.frames(shuffled=True)
    assert draw.total == sum(sizes) and len(frames) == min(count, draw.total)
    assert (frames.diff() > 0).all()  # as they were read, each once
    assert torch.equal(shuffled.squeeze(1).sort().values, frames)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.integers(1, 60))
def test_a_draw_keeps_the_smallest_of_all_numbers(sizes, count):
    frames = torch.arange(sum(sizes)).unsqueeze(1)
    generator = torch.Generator().manual_seed(3)
    keys = [torch.rand(n, generator=generator, dtype=torch.float64) for n in sizes]
    wanted = frames[torch.cat(keys).argsort()[:count]]
    if sum(sizes):
        draw = drawn(frames.split(sizes), count, seed=3)
        assert torch.equal(draw.frames(shuffled=True), wanted)


def test_every_frame_is_drawn_equally_often():
    numbers, often = torch.arange(40.0).unsqueeze(1), torch.zeros(40)
    for seed in range(2000):
        frames = drawn(numbers.split(8), 10, seed).frames()
        often[frames.squeeze(1).long()] += 1
    assert (often / 500 - 1).abs().max() < 0.2  # 4 standard deviations


def test_frames_that_were_not_drawn_are_not_kept():
    alive = []

    def parts():
        for _ in range(50):
            part = torch.zeros(100, 4)
            alive.append(weakref.ref(part))
            yield part
            del part
            assert sum(ref() is not None for ref in alive) <= 3

    drawn(parts(), 100)


def test_small_parts_are_put_together(monkeypatch):
    monkeypatch.setattr("espnet2_taste.units.kmeans.LARGEST_LIST", 5)
    draw, numbers = FrameDraw(1000, 0), torch.arange(60.0).unsqueeze(1)
    for part in numbers.split(2):
        draw.add(part)
        assert len(draw._kept) <= 5
    assert torch.equal(draw.frames(), numbers)
