"""Tuning files of the mini recipe: merged with every step, each builds its model."""

import argparse
from pathlib import Path

import pytest
import yaml

from espnet2_taste.bin import merge_configs

CONF = Path(__file__).parents[3] / "egs2/mini_espeak/taslm1/conf"
STEPS = [CONF / f"train_taste_{step}.yaml" for step in ("text_only", "no_vq", "vq")]
MARK = "# Changes to conf/train_taste_"
CHANGES = [p for p in sorted((CONF / "tuning").glob("*.yaml"))]
CHANGES = [p for p in CHANGES if p.read_text(encoding="utf-8").startswith(MARK)]


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
    model = TasteTask.build_model(argparse.Namespace(**vars(args)))
    wanted = yaml.safe_load(changes.read_text(encoding="utf-8"))
    for name, value in wanted.items():
        got = getattr(args, name)
        if isinstance(value, dict):
            got = {key: got[key] for key in value}
        assert (got or "none") == value
    assert any(p.requires_grad for p in model.parameters())


def test_files_are_listed_and_cover_the_choices():
    readme = (CONF / "tuning" / "README.md").read_text(encoding="utf-8")
    assert not [p.stem for p in CHANGES if f"`{p.stem}`" not in readme]
    stems = {path.stem for path in CHANGES}
    assert {"quantizer_none", "quantizer_rvq", "quantizer_fsq"} <= stems
    assert {"value_layer_last", "value_layer_shallow", "value_layer_mix"} <= stems
