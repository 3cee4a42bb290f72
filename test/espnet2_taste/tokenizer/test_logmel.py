"""Mel filters against librosa's."""

import numpy as np
import pytest
import torch

from espnet2_taste.tokenizer.logmel import WhisperLogMel


@pytest.mark.parametrize("num_mels", [80, 128])
def test_filters_equal_librosa(num_mels):
    librosa = pytest.importorskip("librosa")
    want = librosa.filters.mel(sr=16000, n_fft=400, n_mels=num_mels)
    assert np.allclose(WhisperLogMel(num_mels).filters.numpy(), want, atol=1e-7)


def test_one_frame_each_hundredth_second_and_no_state():
    log_mel = WhisperLogMel(80)
    assert log_mel(torch.randn(2, 16000)).shape == (2, 100, 80)
    assert not log_mel.state_dict()
