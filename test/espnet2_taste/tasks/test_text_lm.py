"""The text backbone end to end: statistics, training, resuming, export, reload."""

import shutil
from functools import partial

import pytest
import torch
import yaml
from two_processes import train_in_two

from espnet2_taste.bin import exports, text_lm_train
from espnet2_taste.evaluation import training_profile

TINY = {
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "tie_word_embeddings": True,
}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, sentences, lm_tokenizer_dir):
    """A directory with text and the configuration of a tiny model."""
    path = tmp_path_factory.mktemp("recipe")
    lines = [f"utt{index:02d} {line}\n" for index, line in enumerate(sentences)]
    (path / "text").write_text("".join(lines), encoding="utf-8")
    config = {
        "lm_conf": TINY,
        "tokenizer_path": str(lm_tokenizer_dir),
        "optim": "adamw",
        "optim_conf": {"lr": 1.0e-2},
        "batch_type": "sorted",
        "batch_size": 10,
        "keep_nbest_models": 1,
        "num_workers": 0,
        "num_att_plot": 0,
        "use_matplotlib": False,
        "use_tensorboard": False,
        "best_model_criterion": [["valid", "loss", "min"]],
    }
    (path / "train.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def _train(recipe, output, *options, main=text_lm_train.main):
    data = f"{recipe}/text,text,text"
    main(
        ["--config", f"{recipe}/train.yaml", "--output_dir", str(output)]
        + ["--train_data_path_and_name_and_type", data]
        + ["--valid_data_path_and_name_and_type", data]
        + list(options)
    )


@pytest.fixture(scope="module")
def trained(recipe):
    """One epoch, then a second by resuming."""
    stats, output = recipe / "stats", recipe / "exp"
    keys = ["--train_shape_file", f"{recipe}/text", "--valid_shape_file"]
    _train(recipe, stats, "--collect_stats", "true", *keys, f"{recipe}/text")
    shapes = ["--train_shape_file", f"{stats}/train/text_shape"]
    shapes += ["--valid_shape_file", f"{stats}/valid/text_shape"]
    _train(recipe, output, *shapes, "--max_epoch", "1")
    _train(recipe, output, *shapes, "--max_epoch", "2", "--resume", "true")
    return output


def _train_unsorted(recipe, output, *options, **kwargs):
    keys = ["--train_shape_file", f"{recipe}/text", "--valid_shape_file"]
    options = [*keys, f"{recipe}/text", "--batch_type", "unsorted", *options]
    _train(recipe, output, *options, **kwargs)


class Killed(Exception):
    """Stands for a kill while a file is written."""


def _half_save(obj, path, save=torch.save):
    save(obj, path)
    path.write_bytes(path.read_bytes()[:1000])
    raise Killed


def test_a_kill_while_a_checkpoint_is_written_costs_one_epoch(
    recipe, tmp_path, monkeypatch
):
    output, options = tmp_path / "exp", ["--resume", "true", "--max_epoch"]
    _train_unsorted(recipe, output, *options, "1")
    monkeypatch.setattr(torch, "save", _half_save)
    with pytest.raises(Killed):
        _train_unsorted(recipe, output, *options, "2")
    monkeypatch.undo()
    in_two = partial(train_in_two, tmp_path, text_lm_train.__name__)
    _train_unsorted(recipe, output, *options, "3", main=in_two)
    states = torch.load(output / "checkpoint.pth", weights_only=True)
    assert sorted(states["reporter"]["stats"]) == [1, 2, 3]
    assert not (output / "checkpoint.former.pth").exists()


def _export(trained, target):
    exports.main(
        [
            "text_lm",
            "--train_config",
            f"{trained}/config.yaml",
            "--output_dir",
            str(target),
        ]
        + ["--model_file", f"{trained}/valid.loss.best.pth"]
    )


def test_resumed_training_exports_and_reloads(trained, tmp_path, capsys):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert (trained / "2epoch.pth").is_file()
    target = tmp_path / "llm_base"
    _export(trained, target)
    model = AutoModelForCausalLM.from_pretrained(target, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(target, local_files_only=True)
    state = torch.load(trained / "valid.loss.best.pth", weights_only=True)
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, state[f"lm.{name}"])
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert tokenizer(" the red")["input_ids"][0] == tokenizer.bos_token_id

    before = (target / "model.safetensors").stat().st_mtime_ns
    _export(trained, target)  # nothing to do
    assert (target / "model.safetensors").stat().st_mtime_ns == before


def test_starts_from_a_trained_model(trained, recipe, tmp_path):
    target = tmp_path / "llm_base"
    _export(trained, target)
    stats = recipe / "stats"
    config = yaml.safe_load((recipe / "train.yaml").read_text())
    config["lm_conf"] = {}
    config["tokenizer_path"] = str(target)
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(config))
    shutil.copy(recipe / "text", tmp_path / "text")
    shapes = ["--train_shape_file", f"{stats}/train/text_shape"]
    shapes += ["--valid_shape_file", f"{stats}/valid/text_shape"]
    options = ["--init_lm", str(target), "--max_epoch", "1"]
    _train(tmp_path, tmp_path / "exp", *shapes, *options, "--optim_conf", "lr=0.0")
    first = torch.load(trained / "valid.loss.best.pth", weights_only=True)
    second = torch.load(tmp_path / "exp" / "1epoch.pth", weights_only=True)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_export_refuses_another_models_checkpoint(trained, tmp_path):
    wrong = tmp_path / "wrong.pth"
    torch.save({"other": torch.zeros(1)}, wrong)
    with pytest.raises(SystemExit, match="does not fit"):
        exports.main(
            [
                "text_lm",
                "--train_config",
                f"{trained}/config.yaml",
                "--model_file",
                str(wrong),
            ]
            + ["--output_dir", str(tmp_path / "out")]
        )
    assert not (tmp_path / "out").exists()


def test_export_names_the_missing_file(tmp_path):
    with pytest.raises(SystemExit, match="no such file: .*config.yaml"):
        exports.main(
            [
                "text_lm",
                "--train_config",
                f"{tmp_path}/config.yaml",
                "--model_file",
                "x.pth",
            ]
            + ["--output_dir", str(tmp_path / "out")]
        )


def test_steps_of_a_training_are_profiled(trained):
    rows = training_profile.profile_rows("text_lm", str(trained), 1)
    shares = [row["share %"] for row in rows]
    assert len(rows) == 10 and shares == sorted(shares, reverse=True)
    assert 0 < sum(shares) <= 100
    operations = {row["operation"]: row["calls a step"] for row in rows}
    assert operations.get("aten::mm", 0) >= 7  # the linear layers of a block
    with pytest.raises(ValueError, match="--exp_task asr: expected one of"):
        training_profile.profile_rows("asr", str(trained), 1)
