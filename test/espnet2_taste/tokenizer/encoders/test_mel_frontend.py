"""The frontend gives what ESPnet's own does, whose filters come from librosa."""

from inspect import signature

import pytest
import torch
from espnet2.asr.frontend.default import DefaultFrontend

from espnet2_taste.tokenizer.encoders.mel_frontend import MelFrontend

OPTIONS = [
    {},
    {"fs": "8k", "n_fft": 256, "win_length": 200, "hop_length": 80, "n_mels": 40},
    {"htk": True, "fmin": 20, "fmax": 7600, "window": "hamming", "center": False},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_features_are_espnets(options, waves):
    own, espnets = MelFrontend(**options).eval(), DefaultFrontend(**options).eval()
    filters = own.logmel.melmat, espnets.logmel.melmat
    torch.testing.assert_close(*filters, rtol=1e-4, atol=1e-6)
    found, expected = own(*waves(16000, 9000)), espnets(*waves(16000, 9000))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert own.output_size() == espnets.output_size()
    assert own.hop_length == espnets.hop_length


def test_filters_of_a_checkpoint_make_features_equal_to_the_bit(waves):
    own, espnets = MelFrontend().eval(), DefaultFrontend().eval()
    own.load_state_dict(espnets.state_dict())
    found, expected = own(*waves(16000, 9000)), espnets(*waves(16000, 9000))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("apply_stft", [True, False])
def test_options_are_espnets(apply_stft):
    own, espnets = (
        kind(apply_stft=apply_stft).eval() for kind in (MelFrontend, DefaultFrontend)
    )
    assert (own.stft is None) == (espnets.stft is None) == (not apply_stft)
    known = signature(DefaultFrontend).parameters.values()
    MelFrontend(**{option.name: option.default for option in known})


def test_dereverberation_can_be_chosen():
    conf = {"use_wpe": True, "use_dnn_mask_for_wpe": False}
    own, espnets = MelFrontend(frontend_conf=conf), DefaultFrontend(frontend_conf=conf)
    assert own.frontend.use_wpe and list(own.state_dict()) == list(espnets.state_dict())
