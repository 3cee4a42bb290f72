"""Resemblyzer's embeddings against a plain loop; real voices, where there are any."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from espnet2_taste.units.resemblyzer import ResemblyzerEmbedder, window_begins

REAL = Path(os.environ.get("TASTE_RESEMBLYZER", "/nowhere"))
REALSPEECH = Path(
    os.environ.get("TASTE_REALSPEECH", Path(__file__).parents[4] / "shared/realspeech")
)


@pytest.fixture
def weights(tmp_path):
    """A small network of the same form."""
    torch.manual_seed(0)
    lstm, linear = torch.nn.LSTM(40, 8, 3, batch_first=True), torch.nn.Linear(8, 6)
    state = {f"lstm.{name}": x for name, x in lstm.state_dict().items()}
    state |= {f"linear.{name}": x for name, x in linear.state_dict().items()}
    save_file(
        state | {"similarity_bias": torch.zeros(1)}, tmp_path / "model.safetensors"
    )
    return tmp_path


def slow(weights, wave: np.ndarray) -> np.ndarray:
    """Window by window, with librosa's mel."""
    import librosa

    embedder = ResemblyzerEmbedder(str(weights), 8, 6)
    level = np.sqrt(np.mean(wave**2))
    wave = wave * max(1.0, 10 ** (-30 / 20) / level)
    parts = []
    for begin in window_begins(len(wave)):
        padded = np.pad(wave, (0, max(0, (begin + 160) * 160 - len(wave))))
        mel = librosa.feature.melspectrogram(
            y=padded, sr=16000, n_fft=400, hop_length=160, n_mels=40
        ).T[begin : begin + 160]
        with torch.no_grad():
            state = embedder.lstm(torch.from_numpy(mel)[None].float())[1][0][-1, 0]
            part = embedder.linear(state).relu().numpy()
        parts.append(part / np.linalg.norm(part))
    mean = np.mean(parts, axis=0)
    return mean / np.linalg.norm(mean)


def test_batches_equal_a_plain_loop(weights):
    rng = np.random.default_rng(0)
    waves = [rng.normal(0, scale, n) for scale, n in ((0.1, 40000), (1e-3, 9000))]
    lengths = torch.tensor([len(wave) for wave in waves])
    speech = torch.zeros(2, 40000)
    for row, wave in enumerate(waves):
        speech[row, : len(wave)] = torch.from_numpy(wave)
    found = ResemblyzerEmbedder(str(weights), 8, 6)(speech, lengths).numpy()
    wanted = [slow(weights, wave.astype(np.float32)) for wave in waves]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("seconds", [0.3, 1.6, 1.9, 2.2, 30.0])
def test_windows_cover_the_utterance_but_for_half_of_one(seconds):
    samples = int(seconds * 16000)
    begins = window_begins(samples)
    assert begins == [77 * i for i in range(len(begins))]
    assert samples / 160 - (begins[-1] + 160) < 77 + 0.75 * 160


def test_what_is_no_network_of_resemblyzer_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no such file.*model.safetensors"):
        ResemblyzerEmbedder(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ValueError, match="model.safetensors is refused"):
        ResemblyzerEmbedder(str(tmp_path))
    save_file({"lstm.x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="not Resemblyzer's network"):
        ResemblyzerEmbedder(str(tmp_path))


@pytest.mark.skipif(
    not REAL.is_dir() or not REALSPEECH.is_dir(),
    reason="no weights (TASTE_RESEMBLYZER) or recordings (TASTE_REALSPEECH)",
)
def test_voices_are_told_apart():
    from espnet2_taste.data.audio import load_speech

    embedder = ResemblyzerEmbedder(str(REAL))
    wav = REALSPEECH / "wav"
    files = [sorted(wav.glob(f"{name}*"))[:4] for name in ("p225", "p226")]
    found = []
    for file in sum(files, []):
        speech = torch.from_numpy(load_speech(file, 16000))[None]
        found.append(embedder(speech, torch.tensor([speech.size(1)]))[0])
    cosine = torch.stack(found) @ torch.stack(found).T
    same = torch.cat([cosine[:4, :4].flatten(), cosine[4:, 4:].flatten()])
    assert same.min() > cosine[:4, 4:].max()
