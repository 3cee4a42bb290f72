"""Whisper encoder: both ways of padding, files from a directory, long audio."""

import pytest
import torch

from espnet2_taste.tokenizer.encoders.whisper import (
    PretrainedWhisperEncoder,
    WhisperSpeechEncoder,
    random_encoder,
)

SIZES = {"num_mel_bins": 16, "d_model": 8, "encoder_layers": 2}
SIZES |= {"encoder_attention_heads": 2, "encoder_ffn_dim": 12}


def build(full_window):
    torch.manual_seed(0)
    return WhisperSpeechEncoder(random_encoder(SIZES), 1, full_window)


def batch(*lengths):
    torch.manual_seed(1)
    return torch.randn(len(lengths), max(lengths)) * 0.1, torch.tensor(lengths)


@pytest.mark.parametrize("full_window", [True, False])
def test_padding_changes_nothing(full_window):
    encoder = build(full_window)
    speech, lengths = batch(16000, 9000)
    together = encoder(speech, lengths)
    alone = encoder(speech[1:, :9000], lengths[1:])
    frames = int(alone.lengths[0])
    assert int(together.lengths[1]) == frames
    assert torch.allclose(together.keys[1, :frames], alone.keys[0], atol=1e-5)
    assert torch.allclose(together.values[1, :frames], alone.values[0], atol=1e-5)


def test_window_decides_the_frames():
    speech, lengths = batch(16000, 9000)
    assert build(True)(speech, lengths).lengths.tolist() == [1500, 1500]
    assert build(False)(speech, lengths).lengths.tolist() == [50, 28]
    assert build(False).frame_rate == 50.0


def test_longer_than_the_window_is_refused():
    with pytest.raises(ValueError, match="30.5 s, but the Whisper encoder's window"):
        build(True)(torch.zeros(1, 488000), torch.tensor([488000]))


def test_loads_a_local_directory_and_its_decoder(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.WhisperConfig(
        vocab_size=30,
        num_mel_bins=16,
        d_model=8,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=12,
        decoder_ffn_dim=12,
        max_target_positions=20,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    torch.manual_seed(0)
    model = transformers.WhisperModel(config).eval()
    model.save_pretrained(tmp_path)
    encoder = PretrainedWhisperEncoder(str(tmp_path), value_layer=1)
    speech, lengths = batch(16000)
    states = encoder(speech, lengths)
    from espnet2_taste.tokenizer.logmel import pad_to_window

    features = encoder.log_mel(pad_to_window(speech, lengths)).transpose(1, 2)
    with torch.no_grad():
        want = model.encoder(features, output_hidden_states=True)
    assert torch.allclose(states.keys, want.last_hidden_state, atol=1e-5)
    assert torch.allclose(states.values, want.hidden_states[1], atol=1e-5)

    from espnet2_taste.structures import EncoderStates
    from espnet2_taste.tokenizer.aggregator import WhisperAggregator

    sizes = {"size": 8, "num_heads": 2, "num_layers": 2, "linear_units": 12}
    aggregator = WhisperAggregator(30, 8, 8, max_positions=20, **sizes).eval()
    aggregator.load_decoder_state(encoder.decoder_state())
    ids = torch.randint(3, 30, (1, 6))
    same = EncoderStates(states.keys, states.keys, states.lengths)
    with torch.no_grad():
        want = model.decoder(ids, encoder_hidden_states=states.keys).last_hidden_state
        assert torch.allclose(aggregator.decode(ids, same), want, atol=1e-5)
