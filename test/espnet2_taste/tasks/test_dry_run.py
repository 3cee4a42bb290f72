"""Published configurations are checked without their weights, memory or time."""

import json
import resource
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from espnet2_taste.bin import slm_train, taste_train, unit_vocoder_train
from espnet2_taste.tasks.unit_vocoder import UnitVocoderTask

EGS2 = Path(__file__).resolve().parents[3] / "egs2"
CONF = EGS2 / "libritts/taslm1/conf"
DESIGNS = [
    path
    for path in sorted(EGS2.glob("*/taslm1/conf/systems/*.yaml"))
    if "model_conf" in yaml.safe_load(path.read_text())  # the others train nothing
]
LARGE = {
    **{"d_model": 1280, "num_mel_bins": 128, "encoder_layers": 32},
    **{f"{side}_attention_heads": 20 for side in ("encoder", "decoder")},
    **{f"{side}_ffn_dim": 5120 for side in ("encoder", "decoder")},
    "max_target_positions": 448,
}
"""Sizes of Whisper large-v3, with the two decoder layers of distil-large-v3."""


@pytest.fixture
def check(tmp_path):
    """Runs a training with --dry_run; gives the memory that it takes, in bytes."""

    def run(command, config, *options, **changes):
        name = tmp_path / "train.yaml"
        known = yaml.safe_load((CONF / config).read_text())
        name.write_text(yaml.safe_dump(known | changes))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        places = ["--config", str(name), "--output_dir", str(tmp_path / "exp")]
        command.main([*places, "--dry_run", "true", *options])
        return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

    return run


@pytest.fixture
def large_whisper(whisper_dirs, tmp_path):
    """A Whisper of full size, of which there is only the description."""
    place = tmp_path / "whisper"
    shutil.copytree(whisper_dirs[True], place)
    (place / "model.safetensors").unlink()
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | LARGE))
    return str(place)


@pytest.mark.parametrize("step", ["text_only", "no_vq", "vq"])
def test_the_published_taste_is_checked_in_no_memory(check, large_whisper, step):
    text = ["--token_type", "whisper", "--tokenizer_path", large_whisper]
    encoder = {"model": large_whisper, "value_layer": 6}
    used = check(
        taste_train,
        f"train_taste_{step}.yaml",
        *text,
        speech_encoder_conf=encoder,
    )
    assert used < 5e8  # the encoder alone has 2.5e9 bytes


def test_the_published_vocoder_is_checked_in_no_memory(check):
    assert check(unit_vocoder_train, "train_unit_vocoder.yaml") < 2e8  # of 5e8


def test_the_published_taslm_is_checked_in_no_memory(check, lm_tokenizer_dir, tmp_path):
    from transformers import AutoTokenizer, LlamaConfig

    llm = tmp_path / "llm"
    sizes = dict(hidden_size=2048, intermediate_size=8192, num_hidden_layers=16)
    sizes |= dict(num_attention_heads=32, num_key_value_heads=8, head_dim=64)
    LlamaConfig(vocab_size=128256, **sizes).save_pretrained(llm)
    AutoTokenizer.from_pretrained(lm_tokenizer_dir).save_pretrained(llm)
    quantizer = {"num_codebooks": 4, "codebook_size": 512, "latent_size": 256}
    used = check(
        slm_train,
        "train_taslm_embed.yaml",
        *("--tokenizer_path", str(llm), "--init_lm", str(llm)),
        quantizer="rvq",
        quantizer_conf=quantizer | {"dim": 1280},
    )
    assert used < 5e8  # of 5e9


@pytest.mark.parametrize(
    "config", DESIGNS, ids=[f"{path.parts[-5]}-{path.stem}" for path in DESIGNS]
)
def test_every_design_is_checked_without_values(check, config, tiny_llm):
    options = ["--tokenizer_path", str(tiny_llm), "--num_units", "20"]
    if "lm_conf" not in yaml.safe_load(config.read_text()):
        options += ["--init_lm", str(tiny_llm)]
    check(slm_train, config, *options, "--unit_rate", "25")


def test_a_wrong_option_of_a_full_size_part_is_found(check, large_whisper):
    text = ["--token_type", "whisper", "--tokenizer_path", large_whisper]
    with pytest.raises(ValueError, match="quantizer_conf.*no option 'codebok_size'"):
        check(
            taste_train,
            "train_taste_vq.yaml",
            *text,
            speech_encoder_conf={"model": large_whisper, "value_layer": 6},
            quantizer_conf={"codebok_size": 512},
        )


@pytest.fixture
def first_weights(tmp_path):
    """A file of weights that a training of the published vocoder could begin with."""
    options = ["--config", str(CONF / "train_unit_vocoder.yaml"), "--dry_run", "true"]
    parser = UnitVocoderTask.get_parser()
    model = UnitVocoderTask.build_model(parser.parse_args(options))
    name, _ = max(model.named_parameters(), key=lambda item: item[1].ndim)
    weights = {name: model.state_dict()[name]}
    weights[name] = torch.zeros(weights[name].shape)
    return tmp_path / "first.pth", weights


@pytest.mark.parametrize("change", ["none", "name", "shape", "no file"])
def test_weights_to_begin_with_are_checked(check, first_weights, change):
    path, weights = first_weights
    ((name, tensor),) = weights.items()
    states = {"none": weights, "name": {"x": tensor}, "shape": {name: tensor[:1, :1]}}
    if change in states:
        torch.save(states[change], path)
    train = (unit_vocoder_train, "train_unit_vocoder.yaml", "--init_param", str(path))
    if change == "none":
        assert check(*train) < 2e8
        return
    with pytest.raises(ValueError, match="--init_param .*first.pth does not fit"):
        check(*train)
