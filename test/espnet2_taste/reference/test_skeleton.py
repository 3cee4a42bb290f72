"""Shapes that a published folder must have, where every size differs."""

import pytest

from espnet2_taste.reference import names, skeleton

TEXT_LM = {
    "model_type": "llama",
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
QUANTIZER = {"dim": 12, "latent_size": 5, "num_codebooks": 3, "codebook_size": 7}


def options_of(head):
    return {
        "adaptation": "lora",
        "adaptation_conf": {"r": 2, "alpha": 4},
        "layout": "text_aligned",
        "code_embedding": "fill_forward",
        "input_fusion": "weighted_sum",
        "head": head,
        "quantizer_conf": QUANTIZER,
    }


@pytest.mark.parametrize("head, size", [("multi_linear_last", 12), ("linear_last", 0)])
def test_a_variance_that_nobody_reads_has_the_size_of_the_encoder(head, size):
    options = options_of(head)
    wanted = skeleton.taslm_weights(options, TEXT_LM)
    shapes = {n.removeprefix("spoken_lm."): tuple(t.shape) for n, t in wanted.items()}
    assert shapes["pad_text_unit_embed"] == (16,)
    assert shapes["pad_audio_unit_embed"] == (12,)
    assert shapes["fuse_for_bridge_in_llm.linear.weight"] == (16, 12)
    assert shapes["extract_for_bridge_out_llm.linear.weight"] == (3 * 7, 16)
    unused = skeleton.unused_weights(options)
    variances = [t.numel() for name, t in unused.items() if name == names.VARIANCE]
    assert variances == [size] * bool(size)
    assert len(unused) - len(variances) == 2 * (2 * 9)  # networks of the quantizer
    assert not set(unused) & set(wanted)
