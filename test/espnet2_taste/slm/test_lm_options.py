"""How an LM runs changes its memory, not its results, or is refused by name."""

from functools import partial

import pytest
import torch
from lm_types import random_lm

from espnet2_taste.optional import require
from espnet2_taste.slm import lm_options
from espnet2_taste.slm.backbone import FrozenBackbone, FullBackbone, LoraBackbone
from espnet2_taste.slm.causal_lm import build_causal_lm
from espnet2_taste.slm.lm_options import LmOptions
from espnet2_taste.text.huggingface_tokenizer import load_tokenizer

ADAPTATIONS = [FrozenBackbone, FullBackbone, LoraBackbone]


@pytest.fixture
def tokenizer(lm_tokenizer_dir):
    return load_tokenizer(lm_tokenizer_dir)


def step(adapt, lm, layers=()):
    """Loss, gradients by name and bytes kept for them, of one step of training."""
    torch.manual_seed(1)
    backbone = adapt(lm).train()
    inputs = torch.randn(2, 12, backbone.hidden_size, requires_grad=True)
    kept = []

    def keep(tensor):
        kept.append(tensor.numel() * tensor.element_size())
        return tensor

    torch.manual_seed(2)  # of dropout
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = backbone(inputs, layers=layers)
        loss = sum(state.sin().sum() for state in (output.last, *output.states))
    loss.backward()
    trained = [("inputs", inputs), *backbone.named_parameters()]
    grads = {name: p.grad for name, p in trained if p.grad is not None}
    return loss.detach(), grads, sum(kept)


@pytest.mark.parametrize("adapt", ADAPTATIONS)
@pytest.mark.parametrize("model_type", ["gpt2", "llama", "opt", "qwen3"])
def test_checkpointing_changes_memory_alone(tokenizer, model_type, adapt):
    loss, grads, kept = step(adapt, random_lm(model_type, tokenizer))
    lm = random_lm(model_type, tokenizer, gradient_checkpointing=True)
    found, found_grads, less = step(adapt, lm)
    torch.testing.assert_close(found, loss)
    assert found_grads.keys() == grads.keys()
    torch.testing.assert_close(found_grads, grads)
    assert less < 0.6 * kept


def test_checkpointing_gives_the_states_of_all_layers(tokenizer):
    layers = (0, 1, 2)
    loss, grads, _ = step(LoraBackbone, random_lm("llama", tokenizer), layers)
    lm = random_lm("llama", tokenizer, gradient_checkpointing=True)
    found, found_grads, _ = step(LoraBackbone, lm, layers)
    torch.testing.assert_close((found, found_grads), (loss, grads))


def test_checkpointing_does_not_hinder_caches(tokenizer):
    lm = random_lm("llama", tokenizer, gradient_checkpointing=True)
    backbone = LoraBackbone(lm).eval()
    output = backbone(torch.randn(1, 3, backbone.hidden_size), use_cache=True)
    assert output.cache.get_seq_length() == 3


def test_a_class_without_checkpointing_is_refused(tokenizer, monkeypatch):
    from transformers import LlamaForCausalLM

    monkeypatch.setattr(LlamaForCausalLM, "supports_gradient_checkpointing", False)
    with pytest.raises(ValueError, match="gradient_checkpointing is not offered by"):
        random_lm("llama", tokenizer, gradient_checkpointing=True)


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_attention_asked_for_is_taken(tokenizer, tmp_path, attention, loaded):
    expected = random_lm("llama", tokenizer)
    conf = {"attn_implementation": attention}
    if loaded:
        expected.save_pretrained(tmp_path)
        lm = build_causal_lm(tmp_path, conf, len(tokenizer), tokenizer).eval()
    else:
        lm = random_lm("llama", tokenizer, **conf)
    assert lm.config._attn_implementation == attention
    ids = torch.tensor([[1, 5, 7, 9]])
    torch.testing.assert_close(lm(ids).logits, expected(ids).logits)


def test_an_attention_that_would_not_be_used_is_refused(tokenizer, monkeypatch):
    with pytest.raises(ValueError, match="attn_implementation is 'flash', expected"):
        LmOptions(attn_implementation="flash")
    monkeypatch.setattr(lm_options, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="needs the Python module 'flash_attn'"):
        LmOptions(attn_implementation="flash_attention_2")
    lm = random_lm("llama", tokenizer, attn_implementation="eager")
    with pytest.raises(ValueError, match="sdpa is not offered by models of type 'lla"):
        LmOptions(attn_implementation="sdpa").apply(lm)


def test_4_bit_needs_its_package(monkeypatch):
    def absent(module, feature, extra):
        return require("no_such_module", feature, extra)

    monkeypatch.setattr(lm_options, "require", absent)
    with pytest.raises(RuntimeError, match=r"load_in_4bit needs .*espnet2_taste\[qlo"):
        LmOptions(load_in_4bit=True)


class TestIn4Bit:
    """Runs where the extra ``qlora`` is installed; it computes on CPUs too."""

    @pytest.fixture
    def build(self, tokenizer, tmp_path):
        pytest.importorskip("bitsandbytes")
        changes = {"hidden_size": 64, "intermediate_size": 64}
        random_lm("llama", tokenizer, **changes).save_pretrained(tmp_path)
        conf = {"load_in_4bit": True, "gradient_checkpointing": True}
        return lambda: build_causal_lm(tmp_path, conf, len(tokenizer), tokenizer)

    def test_adapters_train_on_quantized_weights(self, build):
        lm = build()
        weight = lm.model.layers[0].mlp.up_proj.weight
        assert weight.dtype == torch.uint8 and weight.numel() == 64 * 64 // 2
        adapt = partial(LoraBackbone, r=4, dropout=0.0)
        loss, grads, _ = step(adapt, lm)
        expected, slopes, _ = step(adapt, build().dequantize())
        assert grads.keys() == slopes.keys() and len(grads) > 1
        torch.testing.assert_close(loss, expected, rtol=0.05, atol=0.0)
        for name, slope in grads.items():  # products of CPUs are rounded to bfloat16
            pair = (slope.flatten(), slopes[name].flatten())
            alike = torch.cosine_similarity(*pair, dim=0)
            assert alike > 0.98 or not pair[1].any(), name

    def test_adapters_stay_beside_quantized_weights(self, build):
        backbone = LoraBackbone(build(), r=4)
        assert backbone.merged() is backbone  # merging would round again

    def test_what_it_is_not_for_is_refused(self, build, tokenizer):
        with pytest.raises(ValueError, match="load_in_4bit is for an LM whose weights"):
            LmOptions(load_in_4bit=True).check_full_training()
        with pytest.raises(ValueError, match="is for a trained LM: give it with"):
            random_lm("llama", tokenizer, load_in_4bit=True)
