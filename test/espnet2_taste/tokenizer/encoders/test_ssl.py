"""SSL encoders: equality with Hugging Face's own forward, padding, layers, files."""

import json

import pytest
import torch
import transformers

from espnet2_taste.tokenizer.encoders.ssl import SslEncoder

SIZES = dict(
    hidden_size=16,
    num_hidden_layers=3,
    num_attention_heads=2,
    intermediate_size=24,
    conv_dim=(8, 8),
    conv_kernel=(10, 8),
    conv_stride=(5, 64),
    num_feat_extract_layers=2,
    num_conv_pos_embeddings=8,
    num_conv_pos_embedding_groups=2,
)
MODELS = {
    "wavlm": (transformers.WavLMConfig, transformers.WavLMModel),
    "hubert": (transformers.HubertConfig, transformers.HubertModel),
    "wav2vec2": (transformers.Wav2Vec2Config, transformers.Wav2Vec2Model),
}
LARGE = dict(feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True)


@pytest.fixture
def directory(tmp_path):
    """``directory("hubert", large=True)`` writes a tiny model with random weights."""

    def write(kind, large=False, normalize=True):
        config, model = MODELS[kind]
        torch.manual_seed(0)
        model(config(**SIZES, **(LARGE if large else {}))).save_pretrained(tmp_path)
        extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalize)
        extractor.save_pretrained(tmp_path)
        return str(tmp_path)

    return write


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("kind", MODELS)
def test_equals_hugging_face_alone_and_padded(
    kind, large, directory, waves, same_alone
):
    path = directory(kind, large, normalize=False)
    encoder = SslEncoder(path, value_layer=[0, 2])
    speech, lengths = waves(8000)
    reference = MODELS[kind][1].from_pretrained(path).eval()
    with torch.no_grad():
        want = reference(speech, output_hidden_states=True)
    states = encoder(speech, lengths)
    torch.testing.assert_close(states.keys, want.last_hidden_state)
    shallow = torch.cat([want.hidden_states[0], want.hidden_states[2]], dim=-1)
    torch.testing.assert_close(states.values, shallow)
    same_alone(encoder, (8000, 3333, 4000))


def test_normalizes_as_the_files_say(directory, waves):
    path = directory("wav2vec2", large=True)
    encoder = SslEncoder(path)
    speech, lengths = waves(8000)
    louder = encoder(10 * speech + 0.3, lengths)
    torch.testing.assert_close(louder.keys, encoder(speech, lengths).keys)
    plain = SslEncoder(path, normalize=False)
    assert not torch.allclose(plain(speech, lengths).keys, louder.keys, atol=1e-3)


def test_rates_and_layers(directory, waves):
    encoder = SslEncoder(directory("hubert"), value_layer=2)
    assert encoder.sample_rate == 16000 and encoder.frame_rate == 50.0
    speech, lengths = waves(8000)
    layers, _, _ = encoder.layer_states(speech, lengths, [2, 3])
    assert torch.equal(encoder(speech, lengths).values, layers[0])
    assert not any(p.requires_grad for p in encoder.parameters())
    assert not encoder.train().training


def test_fewest_samples(directory, waves):
    encoder = SslEncoder(directory("hubert"))
    assert encoder(*waves(encoder.smallest)).lengths.tolist() == [1]
    with pytest.raises(ValueError, match="utterance 1 .* too few"):
        encoder(*waves(8000, encoder.smallest - 1))


def test_what_cannot_be_used_is_named(directory, tmp_path):
    path = directory("hubert")
    with pytest.raises(ValueError, match="value_layer to 0..3"):
        SslEncoder(path, value_layer=4)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(ValueError, match="set speech_encoder_conf.normalize"):
        SslEncoder(path)
    assert SslEncoder(path, normalize=True).normalize
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="no weights of a speech encoder at"):
        SslEncoder(path)


def test_a_model_of_another_structure_is_refused(tmp_path):
    config = transformers.LlamaConfig(
        vocab_size=8,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
    )
    transformers.LlamaModel(config).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "llama"
    with pytest.raises(ValueError, match="has no feature_extractor"):
        SslEncoder(str(tmp_path))
