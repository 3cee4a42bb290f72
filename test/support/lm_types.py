"""Random LMs of the types that are most used, as small as they can be."""

import torch

from espnet2_taste.slm.causal_lm import build_causal_lm

SIZES = {
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "hidden_size": 16,
}
MODERN = {**SIZES, "num_key_value_heads": 1, "intermediate_size": 24}
EXPERTS = {"num_local_experts": 2, "num_experts_per_tok": 1}
TYPES = {  # the most used types of text LMs on the hub
    "bloom": SIZES,
    "cohere": {**MODERN, "logit_scale": 0.25},
    "falcon": SIZES,
    "gemma": {**MODERN, "head_dim": 8},
    "gemma2": {**MODERN, "head_dim": 8, "final_logit_softcapping": 0.1},
    "gemma3_text": {**MODERN, "head_dim": 8, "final_logit_softcapping": 0.1},
    "gpt2": {"n_head": 2, "n_layer": 2, "n_embd": 16},
    "gpt_neox": {**SIZES, "intermediate_size": 24},
    "granite": {**MODERN, "logits_scaling": 8.0, "embedding_multiplier": 3.0},
    "llama": MODERN,
    "mistral": {**MODERN, "head_dim": 8},
    "mixtral": {**MODERN, **EXPERTS},
    "olmo2": MODERN,
    "opt": {**SIZES, "ffn_dim": 24, "word_embed_proj_dim": 16},
    "phi": {**MODERN, "num_key_value_heads": 2},
    "phi3": MODERN,
    "qwen2": MODERN,
    "qwen3": {**MODERN, "head_dim": 8},
    "smollm3": MODERN,
    "stablelm": MODERN,
}


def random_lm(model_type, tokenizer, **changes):
    """A causal LM of some type; ``changes`` are keys of ``lm_conf``."""
    torch.manual_seed(0)
    config = {"model_type": model_type, **TYPES[model_type], **changes}
    model = build_causal_lm(None, config, len(tokenizer), tokenizer)
    with torch.no_grad():  # trained models have logits far from zero
        model.get_output_embeddings().weight.mul_(30)
    return model.eval()
