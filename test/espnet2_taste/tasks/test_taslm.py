"""The spoken LM end to end: statistics, training, resuming, reload, its options."""

from functools import partial

import kaldiio
import numpy as np
import pytest
import torch
import yaml
from half_precision import DTYPES, check_half_precision
from reference_rules import load_quantizer
from tiny_models import write_lm, write_quantizer_exp
from two_processes import train_in_two
from word_cores import grid_batch, utterance

from espnet2_taste.bin import slm_train
from espnet2_taste.slm.layouts.abs_layout import AbsGridLayout
from espnet2_taste.tasks import slm_choices
from espnet2_taste.tasks.spoken_lm import SpokenLMTask

CONFIG = {
    "model_conf": {"kl_weight": 0.5, "extract_feats_in_collect_stats": False},
    "optim": "adamw",
    "optim_conf": {"lr": 1.0e-2},
    "batch_type": "sorted",
    "batch_size": 8,
    "keep_nbest_models": 1,
    "num_workers": 0,
    "num_att_plot": 0,
    "use_matplotlib": False,
    "use_tensorboard": False,
    "best_model_criterion": [["valid", "loss", "min"]],
}

SAID = [
    utterance([5, 6, 7], [0, 1, 1], [[1, 2], [3, 4]]),
    utterance([8, 9], [0, 0], [[5, 6]]),
]


def batch_for(model):
    return grid_batch(model.core.layout, SAID)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, sentences, lm_tokenizer_dir):
    """A directory with text, codes, a text LM and a TASTE experiment."""
    path = tmp_path_factory.mktemp("recipe")
    rng = np.random.default_rng(0)
    names = [f"utt{index:02d}" for index in range(len(sentences))]
    lines = [f"{name} {line}\n" for name, line in zip(names, sentences)]
    (path / "text").write_text("".join(lines), encoding="utf-8")
    with kaldiio.WriteHelper(f"ark,scp:{path}/codes.ark,{path}/codes.scp") as writer:
        for name, line in zip(names, sentences):
            codes = rng.integers(0, 8, size=(len(line.split()), 2))
            writer(name, codes.astype(np.float32))
    write_quantizer_exp(path / "taste")
    write_lm(path / "llm", lm_tokenizer_dir)
    (path / "train.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    return path


def train(recipe, output, *options, main=slm_train.main):
    cmd = ["--config", f"{recipe}/train.yaml", "--output_dir", str(output)]
    cmd += ["--tokenizer_path", f"{recipe}/llm", "--init_lm", f"{recipe}/llm"]
    cmd += ["--taste_exp", f"{recipe}/taste"]
    for part in ("train", "valid"):
        option = f"--{part}_data_path_and_name_and_type"
        cmd += [option, f"{recipe}/text,text,text"]
        cmd += [option, f"{recipe}/codes.scp,codes,kaldi_ark"]
    main(cmd + list(options))


@pytest.mark.parametrize("part", ["train", "valid"])
def test_nothing_that_a_table_names_is_run(recipe, tmp_path, part):
    (tmp_path / "codes.scp").write_text(f"utt00 touch {tmp_path}/mark |\n")
    option = f"--{part}_data_path_and_name_and_type"
    with pytest.raises(ValueError, match="utterance 'utt00'.*commands are never run"):
        train(recipe, tmp_path, option, f"{tmp_path}/codes.scp,more,kaldi_ark")
    assert not (tmp_path / "mark").exists()


@pytest.fixture(scope="module")
def shapes(recipe):
    """Options of the shape files that collect_stats writes."""
    stats = recipe / "stats"
    keys = ["--train_shape_file", f"{recipe}/text", "--valid_shape_file"]
    train(recipe, stats, "--collect_stats", "true", *keys, f"{recipe}/text")
    first = ["--train_shape_file", f"{stats}/train/grid_shape"]
    return [*first, "--valid_shape_file", f"{stats}/valid/grid_shape"]


@pytest.fixture(scope="module")
def trained(recipe, shapes):
    """One epoch, then a second by resuming."""
    output = recipe / "exp"
    train(recipe, output, *shapes, "--max_epoch", "1")
    train(recipe, output, *shapes, "--max_epoch", "2", "--resume", "true")
    return output


@pytest.mark.parametrize("head", ["continue_latent_linear_last", "linear_last"])
def test_two_processes_train(recipe, tmp_path, head):
    keys = ["--train_shape_file", f"{recipe}/text", "--valid_shape_file"]
    train(
        recipe,
        tmp_path / "exp",
        *(*keys, f"{recipe}/text", "--head", head),
        *("--batch_type", "unsorted", "--max_epoch", "1"),
        main=partial(train_in_two, tmp_path, slm_train.__name__),
    )
    assert (tmp_path / "exp" / "1epoch.pth").is_file()


def test_resumed_training_reloads_without_the_taste_experiment(recipe, trained):
    assert (trained / "2epoch.pth").is_file()
    options = yaml.safe_load((trained / "config.yaml").read_text())
    assert options["taste_exp"] is None and options["quantizer_conf"]["dim"] == 12
    assert options["init_lm"].endswith("config.json")  # a file, for packing
    model, _ = SpokenLMTask.build_model_from_file(
        trained / "config.yaml", trained / "valid.loss.best.pth", "cpu"
    )
    state = torch.load(trained / "valid.loss.best.pth", weights_only=True)
    assert all(torch.equal(model.state_dict()[name], state[name]) for name in state)
    quantizer = load_quantizer(recipe / "taste")
    for name, value in quantizer.state_dict().items():
        assert torch.equal(state[f"core.embedding.quantizer.{name}"], value)


def test_checkpoints_leave_the_frozen_lm_out(trained):
    state = torch.load(trained / "2epoch.pth", weights_only=True)
    inner = [name for name in state if name.startswith("core.backbone.")]
    assert inner and all(".lora_" in name for name in inner)


def test_a_foreign_checkpoint_is_refused(trained, tmp_path):
    torch.save({"other": torch.zeros(1)}, tmp_path / "wrong.pth")
    with pytest.raises(RuntimeError, match="does not fit"):
        SpokenLMTask.build_model_from_file(
            trained / "config.yaml", tmp_path / "wrong.pth", "cpu"
        )


def built(recipe, *options):
    cmd = ["--config", f"{recipe}/train.yaml", "--output_dir", f"{recipe}/x"]
    cmd += ["--tokenizer_path", f"{recipe}/llm", "--init_lm", f"{recipe}/llm"]
    cmd += ["--taste_exp", f"{recipe}/taste", *options]
    return SpokenLMTask.build_model(SpokenLMTask.get_parser().parse_args(cmd))


@pytest.mark.parametrize(
    "option, name",
    [
        (choices.name, name)
        for choices in (
            slm_choices.layout_choices,
            slm_choices.code_embedding_choices,
            slm_choices.input_fusion_choices,
            slm_choices.head_choices,
        )
        for name, class_ in choices.classes.items()
        if not issubclass(class_, AbsGridLayout)
    ],
)
def test_every_registered_part_trains(recipe, option, name):
    model = built(recipe, f"--{option}", name)
    loss, stats, weight = model(**batch_for(model))
    loss.backward()
    assert torch.isfinite(loss) and weight == 2
    trained = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None for p in trained)  # what several processes wait for
    names = {"text_ppl", "base_text_ppl", "loss_speech", "code_acc_1", "code_acc_2"}
    assert names <= set(stats)


@DTYPES
@pytest.mark.parametrize("head", slm_choices.head_choices.classes)
def test_half_precision_changes_little(recipe, head, dtype):
    model = built(recipe, "--head", head)
    check_half_precision(model, batch_for(model), dtype)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("adaptation", ["lora", "frozen"])
def test_the_lm_keeps_the_dtype_asked_for(recipe, adaptation, dtype):
    options = ("--adaptation", adaptation, "--lm_conf")
    wide = built(recipe, *options, "dtype=float32").eval()
    model = built(recipe, *options, f"dtype={dtype}")
    model.load_state_dict(wide.state_dict())
    model.to(dtype=torch.float32, device="cpu")  # what ESPnet does before it trains
    table = model.core.backbone.causal_lm.get_input_embeddings().weight
    assert table.dtype == getattr(torch, dtype)
    loss, exact = model.eval()(**batch_for(model))[0], wide(**batch_for(wide))[0]
    loss.backward()
    assert loss.dtype == torch.float32
    assert abs(loss - exact) < 0.01 * exact
    trained = [p for p in model.parameters() if p.requires_grad]
    assert all(p.dtype == torch.float32 for p in trained)
    assert all(torch.isfinite(p.grad).all() for p in trained)


def test_options_of_the_lm_reach_a_training(recipe, shapes, tmp_path):
    options = ("gradient_checkpointing=true", "attn_implementation=eager")
    plain, other = (tmp_path / name for name in ("plain", "other"))
    common = (*shapes, "--max_epoch", "1", "--adaptation_conf", "dropout=0.0")
    train(recipe, plain, *common)
    train(recipe, other, *common, *(x for item in options for x in ("--lm_conf", item)))
    expected = torch.load(plain / "1epoch.pth", weights_only=True)
    found = torch.load(other / "1epoch.pth", weights_only=True)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_a_dtype_that_cannot_be_kept_is_refused(recipe):
    with pytest.raises(ValueError, match="dtype is 'int8', expected one of"):
        built(recipe, "--lm_conf", "dtype=int8")
    with pytest.raises(ValueError, match="dtype bfloat16 is for an LM whose weights"):
        built(recipe, "--lm_conf", "dtype=bfloat16", "--adaptation", "full")


def test_a_fresh_adapter_is_the_base(recipe):
    """Hearing text alone, LoRA's start predicts what the base does: KL is zero."""
    model = built(recipe).eval()
    text = torch.tensor([[5, 6, 7]])
    adapted = model.core.backbone.causal_lm(text).logits
    backbone = model.core.backbone
    found = backbone.base_logits(backbone.base_states(text))
    torch.testing.assert_close(found, adapted)


@pytest.mark.parametrize("adaptation", ["full", "frozen"])
def test_other_adaptations_save_and_load(recipe, adaptation):
    model = built(recipe, "--adaptation", adaptation)
    state = model.state_dict()
    assert any("backbone.lm." in name for name in state) == (adaptation == "full")
    assert not any("frozen_base" in name for name in state)
    model.load_state_dict(state)


def test_experiments_of_former_versions_are_read(recipe):
    model = built(recipe, "--model_conf", "taste_weight=2.0")
    assert model.weights["speech"] == 2.0
    state = {
        name.replace("core.", "taslm.", 1)
        .replace(".embedding.", ".", 1)
        .replace(".code_head.", ".head."): torch.zeros_like(value)
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(state)
    assert not any(value.any() for value in model.state_dict().values())


def test_missing_parts_are_named(recipe, tmp_path):
    data = ("--train_data_path_and_name_and_type", f"{recipe}/text,text,text")
    with pytest.raises(ValueError, match="the training set has text but no codes"):
        built(recipe, *data)
    with pytest.raises(ValueError, match="give --taste_exp"):
        built(recipe, "--taste_exp", "none")
    with pytest.raises(ValueError, match="has no config.yaml"):
        built(recipe, "--taste_exp", str(tmp_path))
    with pytest.raises(ValueError, match="head_conf: .*'depth'"):
        built(recipe, "--head_conf", "depth=2")
    with pytest.raises(ValueError, match="give the LM with --init_lm"):
        built(recipe, "--init_lm", "none")
