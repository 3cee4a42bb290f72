"""CAM++ embeddings: what the graph is given, batches, and every error."""

import os

import numpy as np
import pytest
import torch

from espnet2_taste.units.campplus import CampplusEmbedder, mean_free_fbank
from espnet2_taste.units.unit_exp import build_speaker_embedder

RATE = 16000


def noise(seconds, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(int(seconds * RATE), generator=generator)


def embed(embedder, wave):
    return embedder(wave.unsqueeze(0), torch.tensor([len(wave)]))[0]


def slow_fbank(wave, bands=80):
    """Kaldi's filter banks, a frame at a time, in double precision."""
    window = np.hanning(400) ** 0.85
    top = 1127 * np.log(1 + 8000 / 700)
    low = 1127 * np.log(1 + 20 / 700)
    edges = np.linspace(low, top, bands + 2)
    mels = 1127 * np.log(1 + np.arange(257) * (RATE / 512) / 700)
    rows = []
    for start in range(0, len(wave) - 400 + 1, 160):
        frame = wave[start : start + 400].astype(np.float64)
        frame = frame - frame.mean()
        frame = frame - 0.97 * np.concatenate([frame[:1], frame[:-1]])
        power = np.abs(np.fft.rfft(frame * window, 512)) ** 2
        row = []
        for left, middle, right in zip(edges, edges[1:], edges[2:]):
            rise = (mels - left) / (middle - left)
            fall = (right - mels) / (right - middle)
            weight = np.clip(np.minimum(rise, fall), 0, None)
            row.append(np.log((power * weight)[:256].sum()))
        rows.append(row)
    return np.array(rows)


def test_fbank_is_kaldis_without_its_mean():
    wave = noise(0.3)
    fbank = mean_free_fbank(wave)
    assert fbank.shape == (28, 80)
    slow = slow_fbank(wave.numpy())
    np.testing.assert_allclose(fbank, slow - slow.mean(0), atol=2e-3)
    assert torch.equal(fbank, mean_free_fbank(wave))


def test_embedding_of_length_one(campplus_file, projection):
    wave = noise(0.7)
    expected = mean_free_fbank(wave).square().mean(0).numpy() @ projection
    expected /= np.linalg.norm(expected)
    spembs = embed(CampplusEmbedder(campplus_file), wave)
    assert spembs.shape == (192,)
    torch.testing.assert_close(spembs.norm(), torch.tensor(1.0))
    np.testing.assert_allclose(spembs, expected, atol=1e-5)


def test_padding_changes_nothing(campplus_file):
    embedder = build_speaker_embedder(
        {
            "speaker_embedder": "campplus",
            "speaker_embedder_conf": {"onnx_file": campplus_file},
        }
    )
    short, long = noise(0.4), noise(0.9, seed=1)
    batch = torch.full((2, len(long)), 0.7)
    batch[0, : len(short)] = short
    batch[1] = long
    spembs = embedder(batch, torch.tensor([len(short), len(long)]))
    assert torch.equal(spembs[0], embed(embedder, short))
    assert torch.equal(spembs[1], embed(embedder, long))


def test_nothing_to_fit(campplus_file):
    embedder = CampplusEmbedder(campplus_file)
    embedder.fit([])
    assert embedder.fitted_state() == {}
    with pytest.raises(ValueError, match="learns nothing"):
        embedder.load_fitted_state({"mean": torch.zeros(2)})


def test_errors(campplus_file, s3_file):
    with pytest.raises(ValueError, match="expected 64 numbers, found 192"):
        embed(CampplusEmbedder(campplus_file, size=64), noise(0.5))
    with pytest.raises(ValueError, match=r"utterance 1 .* 399 samples .*min_duration"):
        embed(CampplusEmbedder(campplus_file), torch.zeros(399))
    with pytest.raises(ValueError, match="speaker_embedder_conf onnx_file"):
        CampplusEmbedder(s3_file)


@pytest.mark.skipif(
    "TASTE_CAMPPLUS_ONNX" not in os.environ,
    reason="TASTE_CAMPPLUS_ONNX does not name campplus.onnx",
)
def test_published_file():
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    spembs = embed(CampplusEmbedder(os.environ["TASTE_CAMPPLUS_ONNX"]), noise(2))
    assert spembs.shape == (192,)
    torch.testing.assert_close(spembs.norm(), torch.tensor(1.0))
