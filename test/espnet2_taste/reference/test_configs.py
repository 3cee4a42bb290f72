"""Published choices and sizes as options."""

import pytest
import torch

from espnet2_taste.reference import configs


def test_a_kind_without_counterpart_is_named():
    with pytest.raises(ValueError, match="in_llm_module is 'concat'"):
        name, table = configs.CHOICES["input_fusion"]
        configs.chosen(table, {name: "concat"}, name)


def test_sizes_for_one_option_must_be_equal():
    with pytest.raises(ValueError, match="a is 1 and b 2"):
        configs.same({"a": 1, "b": 2}, "a", "b")


def test_published_voice_generator_sizes_come_from_shapes():
    from espnet2_taste.reference.skeleton import vocoder_weights

    small = {
        "num_units": 7,
        "spembs_size": 5,
        "mel_conf": {"n_mels": 16},
        "flow_conf": {
            "encoder_size": 16,
            "encoder_blocks": 3,
            "attention_heads": 2,
            "linear_units": 12,
            "estimator_conf": {
                "channels": [8, 16],
                "num_blocks": 2,
                "num_mid_blocks": 3,
                "heads": 8,
                "head_size": 4,
            },
        },
        "hift_conf": {"base_channels": 16, "f0_channels": 6},
    }
    options = {"vocoder": "flow_hift", "vocoder_conf": small}
    assert configs.vocoder_options(vocoder_weights(options)) == options


def test_a_voice_generator_without_a_size_is_refused():
    with pytest.raises(ValueError, match="flow.input_embedding.weight"):
        configs.vocoder_options({"hift.x": torch.ones(1)})
