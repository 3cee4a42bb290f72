"""Language models are built from a configuration or a directory, or refused."""

from functools import partial

import pytest
import torch
from lm_types import TYPES, random_lm

from espnet2_taste.slm.backbone import FrozenBackbone, LoraBackbone
from espnet2_taste.slm.causal_lm import build_causal_lm
from espnet2_taste.text.huggingface_tokenizer import load_tokenizer

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


@pytest.mark.parametrize(
    "adapt",
    [FrozenBackbone, partial(LoraBackbone, dropout=0.0)],  # dropout: not Mixtral
)
@pytest.mark.parametrize("model_type", TYPES)
def test_logits_are_those_of_the_models_own_class(tokenizer, model_type, adapt):
    ids = torch.tensor([[1, 5, 7, 9], [1, 8, 2, 4]])
    with torch.no_grad():
        expected = random_lm(model_type, tokenizer)(ids).logits
        backbone = adapt(random_lm(model_type, tokenizer)).eval()
        output = backbone(backbone.embed(ids))
        found = backbone.logits(output.last)
        torch.testing.assert_close(found, expected)
        row = backbone.logits(output.last[:, -1])  # (B, H), as generation has them
        torch.testing.assert_close(row, expected[:, -1])


def test_types_that_cannot_be_right_are_refused_by_name(tokenizer):
    with pytest.raises(ValueError, match="'opt' whose embeddings have 8"):
        random_lm("opt", tokenizer, word_embed_proj_dim=8)
    recurrent = {"model_type": "mamba", "hidden_size": 16, "num_hidden_layers": 1}
    with pytest.raises(ValueError, match="type 'mamba' cannot be fed"):
        build_causal_lm(None, recurrent, len(tokenizer), tokenizer)


def test_more_rows_than_positions_are_an_error(tokenizer):
    lm = random_lm("llama", tokenizer, max_position_embeddings=6)
    backbone = FrozenBackbone(lm)
    ids = torch.ones(1, 6, dtype=torch.long)
    cache = backbone(backbone.embed(ids), use_cache=True).cache
    with pytest.raises(ValueError, match="7 rows .* has 6 positions"):
        backbone(backbone.embed(ids[:, :1]), cache=cache)


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
