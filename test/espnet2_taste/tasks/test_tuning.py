"""Tuning files of the mini recipe: merged with every step, each builds its model."""

import argparse
from pathlib import Path

import pytest
import yaml

from espnet2_taste.bin import merge_configs

CONF = Path(__file__).parents[3] / "egs2/mini_espeak/taslm1/conf"
STEPS = [CONF / f"train_taste_{step}.yaml" for step in ("text_only", "no_vq", "vq")]


def changes_to(configs: str) -> list[Path]:
    """Tuning files that say they change these configurations."""
    mark = f"# Changes to conf/{configs}_"
    files = sorted((CONF / "tuning").glob("*.yaml"))
    return [p for p in files if p.read_text(encoding="utf-8").startswith(mark)]


CHANGES = changes_to("train_taste")
SLM_CHANGES = changes_to("train_taslm")


@pytest.fixture(scope="module")
def asr_exp(asr_exp_builder):
    """The recipe's encoder with random weights and a small vocabulary."""
    conf = yaml.safe_load((CONF / "train_asr.yaml").read_text(encoding="utf-8"))
    names = ("frontend", "encoder", "decoder")
    parts = {n: conf[n] for n in names} | {
        f"{n}_conf": conf[f"{n}_conf"] for n in names
    }
    return str(asr_exp_builder(**parts))


@pytest.mark.parametrize("changes", CHANGES, ids=lambda path: path.stem)
def test_every_file_builds_and_changes_something(changes, asr_exp, bpe_dir, tmp_path):
    from espnet2_taste.tasks.taste import TasteTask

    paths = merge_configs.write(STEPS, changes, tmp_path)
    names = [Path(path).name for path in paths]
    assert names == [f"{path.stem}_{changes.stem}.yaml" for path in STEPS]
    for path in paths:
        options = ["--config", path, "--bpemodel", str(bpe_dir / "bpe.model")]
        options += ["--token_list", str(bpe_dir / "tokens.txt")]
        args = TasteTask.get_parser().parse_args(options)
    if args.speech_encoder == "espnet_asr":
        args.speech_encoder_conf["asr_exp"] = asr_exp
    if args.word_timer is not None:
        args.word_timer_conf = {"letters": "abc"}  # those of stage 4
    if args.text_input == "phones":
        pytest.importorskip("espeakng_loader", reason="the extra espeak is absent")
    model = TasteTask.build_model(argparse.Namespace(**vars(args)))
    assert_changed(args, changes)
    assert any(p.requires_grad for p in model.parameters())


def assert_changed(args, changes: Path):
    wanted = yaml.safe_load(changes.read_text(encoding="utf-8"))
    for name, value in wanted.items():
        got = getattr(args, name)
        if isinstance(value, dict):
            got = {key: got[key] for key in value}
        assert (got or "none") == value


@pytest.mark.parametrize("changes", SLM_CHANGES, ids=lambda path: path.stem)
def test_every_file_for_taslm_builds(changes, tiny_llm, tmp_path):
    from espnet2_taste.tasks.spoken_lm import SpokenLMTask

    variant = "token" if "head" in changes.stem else "embed"
    base = CONF / f"train_taslm_{variant}.yaml"
    (path,) = merge_configs.write([base], changes, tmp_path)
    options = ["--config", path, "--tokenizer_path", str(tiny_llm)]
    options += ["--init_lm", str(tiny_llm), "--quantizer", "rvq"]
    options += ["--quantizer_conf", "dim=12", "--quantizer_conf", "codebook_size=8"]
    args = SpokenLMTask.get_parser().parse_args(options)
    assert_changed(args, changes)
    model = SpokenLMTask.build_model(args)
    assert any(p.requires_grad for p in model.core.code_head.parameters())


def test_files_are_listed_and_cover_the_choices():
    readme = (CONF / "tuning" / "README.md").read_text(encoding="utf-8")
    files = CHANGES + SLM_CHANGES
    assert not [p.stem for p in files if f"`{p.stem}`" not in readme]
    stems = {path.stem for path in CHANGES}
    assert {"quantizer_none", "quantizer_rvq", "quantizer_fsq"} <= stems
    assert {"value_layer_last", "value_layer_shallow", "value_layer_mix"} <= stems
    assert len(SLM_CHANGES) >= 8
