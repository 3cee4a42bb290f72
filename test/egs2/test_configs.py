"""The recipes' YAML files fit the commands that read them and the steps they train."""

from pathlib import Path

import pytest
import yaml

from espnet2_taste.bin import slm_inference, taste_resynthesize

RECIPES = Path(__file__).resolve().parents[2] / "egs2"
PARSERS = {
    "decode_slm": slm_inference.main.get_parser,
    "decode_taste": taste_resynthesize.main.get_parser,
}


def find(pattern: str, option: str = "") -> list:
    """Configurations of all recipes that have an option, each with a name."""
    return [
        pytest.param(path, id=str(path.relative_to(RECIPES).with_suffix("")))
        for path in sorted(RECIPES.glob(f"*/taslm1/conf/**/{pattern}.yaml"))
        if option in path.read_text()
    ]


@pytest.mark.parametrize("path", find("decode_*"))
def test_every_option_of_a_decoding_is_one_of_its_command(path):
    parser = PARSERS["_".join(path.stem.split("_")[:2])]()
    options = yaml.safe_load(path.read_text())
    assert [name for name in options if f"--{name}" not in parser.format_help()] == []


@pytest.mark.parametrize("path", find("train_*", "\nnum_iters_per_epoch:"))
def test_a_schedule_of_counted_steps_ends_with_the_training(path):
    config = yaml.safe_load(path.read_text())
    steps = config["num_iters_per_epoch"] * config["max_epoch"]
    assert config["scheduler_conf"]["warmup_steps_list"][-1] == steps
