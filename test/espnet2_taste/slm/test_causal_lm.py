"""Language models are built from a configuration or a directory, or refused."""

import pytest
import torch

from espnet2_taste.slm.causal_lm import build_causal_lm, load_tokenizer

TINY = {
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


@pytest.fixture
def tokenizer(lm_tokenizer_dir):
    return load_tokenizer(lm_tokenizer_dir)


def test_random_then_from_directory(tokenizer, tmp_path):
    model = build_causal_lm(None, TINY, len(tokenizer), tokenizer).eval()
    assert model.config.bos_token_id == tokenizer.bos_token_id
    model.save_pretrained(tmp_path)
    ids = torch.tensor([[0, 5, 7]])
    for place in (tmp_path, tmp_path / "config.json"):
        again = build_causal_lm(str(place), {}, len(tokenizer), tokenizer).eval()
        assert torch.equal(again(ids).logits, model(ids).logits)


@pytest.mark.parametrize("model_type", ["llama", "qwen2", "gpt_neox"])
def test_other_architectures(tokenizer, model_type):
    config = {**TINY, "model_type": model_type}
    if model_type == "qwen2":
        config["num_key_value_heads"] = 2
    model = build_causal_lm(None, config, len(tokenizer), tokenizer)
    logits = model(torch.tensor([[0, 5]])).logits
    assert logits.shape == (1, 2, len(tokenizer))


@pytest.mark.parametrize(
    "config, message",
    [
        ({"hidden_size": 16}, "model_type 'None'"),
        ({**TINY, "model_type": "nothing"}, "model_type 'nothing'"),
        ({**TINY, "hiden_size": 16}, r"\['hiden_size'\] mean nothing"),
        ({**TINY, "vocab_size": 20}, "knows 20 tokens, its tokenizer 280"),
    ],
)
def test_wrong_configuration(tokenizer, config, message):
    with pytest.raises(ValueError, match=message):
        build_causal_lm(None, config, len(tokenizer), tokenizer)


def test_directory_without_model(tokenizer, tmp_path):
    with pytest.raises(ValueError, match="no language model can be loaded"):
        build_causal_lm(tmp_path, {}, len(tokenizer), tokenizer)


def test_field_unknown_to_the_loaded_model(tokenizer, tmp_path):
    build_causal_lm(None, TINY, len(tokenizer), tokenizer).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"\['dropout_rat'\] mean nothing"):
        build_causal_lm(tmp_path, {"dropout_rat": 0.1}, len(tokenizer), tokenizer)
