"""Frontend and encoder trained here: gradients, padding, files that do not exist."""

import pytest
import torch

from espnet2_taste.tokenizer.encoders.frontend import FrontendEncoder

CONFORMER = dict(
    output_size=16,
    attention_heads=2,
    linear_units=24,
    num_blocks=2,
    macaron_style=False,
    cnn_module_kernel=15,
    rel_pos_type="latest",
)
FRONT = dict(n_fft=512, win_length=400, hop_length=160, n_mels=40)


def build(**changes):
    torch.manual_seed(0)
    options = dict(frontend_conf=FRONT, encoder_conf=CONFORMER) | changes
    return FrontendEncoder(**options)


def test_trains_and_is_saved(waves):
    encoder = build().train()
    assert encoder.training and encoder.trainable and encoder.in_checkpoints
    states = encoder(*waves(8000, 6000))
    states.keys.square().mean().backward()
    grads = {n: p.grad is not None for n, p in encoder.encoder.named_parameters()}
    assert all(grads.values()), grads
    with torch.no_grad():
        assert not encoder(*waves(8000)).keys.requires_grad


def test_can_be_kept_as_it_starts(waves):
    encoder = build(trainable=False).train()
    assert not encoder.training and encoder.in_checkpoints
    assert not encoder(*waves(8000)).keys.requires_grad


@pytest.mark.parametrize("name", ["conformer", "transformer"])
def test_padding_changes_nothing(name, same_alone):
    conf = dict(output_size=16, attention_heads=2, linear_units=24, num_blocks=2)
    conf = CONFORMER if name == "conformer" else conf
    encoder = build(encoder=name, encoder_conf=conf, value_layer=[0, 1, 2])
    same_alone(encoder.eval())


def test_sizes_and_rates():
    encoder = build(fs=8000)
    assert encoder.sample_rate == 8000 and encoder.frame_rate == 8000 / 160 / 4
    assert encoder.key_size == encoder.value_size == 16


def test_encoders_without_blocks_are_refused():
    with pytest.raises(ValueError, match="has no blocks"):
        build(encoder="rnn", encoder_conf={})
    with pytest.raises(ValueError, match="names no layer"):
        build(value_layer=[])
