"""Batches of audio files: every utterance once, by length, errors with names."""

import numpy as np
import pytest
import soundfile
import torch

from espnet2_taste.units.batches import speech_batches


def test_batches_hold_every_utterance_once(tmp_path):
    wavs = {}
    for index, samples in enumerate([800, 1600, 400]):
        path = tmp_path / f"{index}.wav"
        soundfile.write(path, np.full(samples, 0.1), 16000)
        wavs[f"utt{index}"] = str(path)
    first, second = speech_batches(wavs, 16000, batch_size=2)
    assert first.names == ["utt1", "utt0"] and second.names == ["utt2"]
    assert first.speech.shape == (2, 1600) and first.lengths.tolist() == [1600, 800]
    assert (first.speech[1, 800:] == 0).all()
    torch.testing.assert_close(
        first.speech[1, :800].mean(), torch.tensor(0.1), atol=1e-4, rtol=0
    )


def test_unreadable_audio_is_named(tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    with pytest.raises(ValueError, match="utterance broken.*stage 2"):
        list(speech_batches({"broken": str(tmp_path / "bad.wav")}, 16000))
