"""The published configuration at full size, on the meta device: nothing is allocated.

Wanted numbers follow from the sizes of the paper and its released configuration, layer
by layer; the one of LoRA is the paper's.
"""

from pathlib import Path

import pytest
import torch
import yaml

from espnet2_taste.tasks.choices import (
    aggregator_choices,
    fusion_choices,
    quantizer_choices,
    states_source_choices,
    unit_decoder_choices,
)
from espnet2_taste.tasks.slm_choices import (
    adaptation_choices,
    head_choices,
    input_fusion_choices,
)
from espnet2_taste.tokenizer.encoders.whisper import random_encoder
from espnet2_taste.vocoder.flow import UnitFlow
from espnet2_taste.vocoder.hift import HiFTGenerator

CONF = Path(__file__).resolve().parents[2] / "egs2/libritts/taslm1/conf"
STEPS = ("text_only", "no_vq", "vq")
WHISPER_VOCABULARY, LLAMA_VOCABULARY = 51866, 128256


@pytest.fixture(autouse=True)
def on_the_meta_device():
    with torch.device("meta"):
        yield


def read(name: str) -> dict:
    return yaml.safe_load((CONF / name).read_text(encoding="utf-8"))


def build(choices, config: dict, *args, **sizes):
    """The part that a configuration names."""
    name = choices.name
    conf = config.get(f"{name}_conf", {})
    return choices.get_class(config[name])(*args, **sizes, **conf)


def count(module, trained: bool = False) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trained)


def linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def whisper_attention(size: int) -> int:
    return 4 * size * size + 3 * size  # the keys have no bias


def rel_block(size: int, units: int) -> int:
    """A block with relative positions: attention, feed-forward, two norms."""
    attention = 4 * linear(size, size) + size * size + 2 * size
    return attention + linear(size, units) + linear(units, size) + 4 * size


@pytest.fixture(params=STEPS)
def taste(request):
    return read(f"train_taste_{request.param}.yaml")


def test_the_speech_encoder_is_that_of_whisper_large_v3(taste):
    size, units = 1280, 5120
    block = whisper_attention(size) + 4 * size
    block += linear(size, units) + linear(units, size)
    convolutions = 3 * 128 * size + size + 3 * size * size + size
    wanted = convolutions + 1500 * size + 32 * block + 2 * size
    sizes = {"num_mel_bins": 128, "d_model": size, "encoder_layers": 32}
    sizes |= {"encoder_attention_heads": 20, "encoder_ffn_dim": units}
    assert count(random_encoder(sizes)) == wanted
    assert taste["speech_encoder_conf"]["value_layer"] == 6


def test_the_aggregator_is_a_decoder_of_two_layers_of_which_one_trains(taste):
    size, units = 1280, 5120
    layer = 2 * whisper_attention(size) + 6 * size
    layer += linear(size, units) + linear(units, size)
    states = states_source_choices.get_class("separate")(size, size, 1)
    sizes = dict(vocab_size=WHISPER_VOCABULARY, prefix=[50258, 50259, 50360, 50364])
    sizes |= dict(key_size=size, value_size=size, states_source=states)
    aggregator = build(aggregator_choices, taste, **sizes)
    embeddings = (WHISPER_VOCABULARY + 448) * size
    assert count(aggregator) == embeddings + 2 * layer + 2 * size
    assert count(aggregator, trained=True) == layer + 2 * size


def test_the_quantizer_has_four_codebooks_of_512_vectors_of_256_numbers(taste):
    quantizer = build(quantizer_choices, taste, dim=1280)
    assert count(quantizer) == linear(1280, 256) + linear(256, 1280)
    shapes = [tuple(b.vectors.shape) for b in quantizer.codebooks]
    assert shapes == [(512, 256)] * 4


def test_the_unit_decoder_has_the_published_sizes(taste):
    size, units, embed = 1024, 2048, 512
    block, norm = rel_block(size, units), 2 * size
    text = WHISPER_VOCABULARY * embed + linear(embed, size) + 2 * norm
    text += 3 * block + linear(size, size)
    codes = linear(1280, embed) + linear(embed, size) + 2 * norm
    codes += 2 * block + linear(size, size)
    language = 2 * size + linear(192, size) + 4096 * size + linear(size, size)
    language += 2 * norm + 7 * block + linear(size, 4097)
    fusion = build(fusion_choices, taste, size=size)
    decoder = build(
        unit_decoder_choices,
        taste,
        vocab_size=WHISPER_VOCABULARY,
        taste_size=1280,
        fusion=fusion,
    )
    assert count(decoder) == text + codes + 2 + language == 153_422_339


def test_the_steps_differ_in_what_is_published_alone():
    first, second, third = (read(f"train_taste_{step}.yaml") for step in STEPS)
    parts = ("speech_encoder_conf", "aggregator_conf", "quantizer_conf")
    parts += ("unit_decoder_conf", "optim", "grad_clip", "accum_grad")
    for part in parts:
        assert first[part] == second[part] == third[part]
    rates = [step["optim_conf"]["lr"] for step in (first, second, third)]
    warmup = [s["scheduler_conf"]["warmup_steps"] for s in (first, second, third)]
    assert rates == [2.0e-4, 1.6e-3, 1.6e-4] and warmup == [10000, 20000, 5000]
    assert [s["max_epoch"] for s in (first, second, third)] == [7, 5, 5]
    frames = [s["batch_bins"] / 8 / 160 for s in (first, second, third)]
    assert frames == [6000, 16000, 16000]


def test_the_vocoder_has_the_sizes_of_the_published_voice_generator():
    conf = read("train_unit_vocoder.yaml")["vocoder_conf"]
    flow = UnitFlow(conf["num_units"], conf["spembs_size"], 80, **conf["flow_conf"])
    hift = HiFTGenerator(80, 22050, **conf["hift_conf"])
    megabytes = [4e-6 * count(flow), 4e-6 * count(hift)]
    assert megabytes == pytest.approx([419.9, 81.9], rel=0.01)  # of flow.pt, hift.pt


@pytest.fixture(params=["embed", "token"])
def taslm(request):
    return read(f"train_taslm_{request.param}.yaml")


def test_lora_on_llama_trains_the_papers_45_million_parameters(taslm):
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = dict(hidden_size=2048, intermediate_size=8192, num_hidden_layers=16)
    sizes |= dict(num_attention_heads=32, num_key_value_heads=8, head_dim=64)
    config = LlamaConfig(vocab_size=LLAMA_VOCABULARY, tie_word_embeddings=True, **sizes)
    lm = LlamaForCausalLM(config)
    assert count(lm) == 1_235_814_400
    assert count(build(adaptation_choices, taslm, lm), trained=True) == 45_088_768


def test_the_modules_around_llama_have_the_published_sizes(taslm):
    quantizer = build(quantizer_choices, read("train_taste_vq.yaml"), dim=1280)
    fusion = build(input_fusion_choices, taslm, 2048, 1280)
    head = build(head_choices, taslm, 2048, 17, quantizer)
    wanted = {
        "continue_latent_linear_last": linear(2048, 256) + 256,
        "linear_last": linear(2048, 4 * 512),
    }
    assert count(head) == wanted[taslm["head"]]
    assert count(fusion) == linear(1280, 2048) + 2
    assert taslm["layout_conf"]["delay"] == 1
