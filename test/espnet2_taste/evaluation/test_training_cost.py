"""Operations counted from the modules against formulas over their weights."""

import pytest
import torch
import yaml
from helper_modules import load_tests

from espnet2_taste.evaluation.training_cost import (
    STEP_COST,
    count_flops,
    step_cost,
    training_cost,
)
from espnet2_taste.tasks.spoken_lm import SpokenLMTask

grids = load_tests("tasks", "test_grid_lm.py")
data = grids.data  # a fixture of that module


def linear_weights(module):
    """Weights that a row is multiplied with."""
    layers = [m for m in module.modules() if isinstance(m, torch.nn.Linear)]
    return sum(layer.weight.numel() for layer in layers)


def test_a_step_of_a_string_of_units_costs_what_the_formula_says(data):
    model, args = grids.built(data, "gslm")
    batch = grids.batch_of(data, args, 4)
    grid_lm = model.core
    lm = grid_lm.backbone.causal_lm
    read = batch["grid"].size(1) + 1  # rows that the LM reads, the first one added
    utterances = len(batch["grid"])
    inner = linear_weights(lm.model) * utterances * read
    output = linear_weights(grid_lm.outputs) * utterances * (read - 1)
    scores = utterances * read**2 * lm.config.hidden_size * lm.config.num_hidden_layers
    # two operations a product; forward, then gradients of inputs and of weights
    wanted = 3 * 2 * (inner + output + 2 * scores)
    assert count_flops(model, batch) == pytest.approx(wanted, rel=0.01)
    assert all(p.grad is None for p in model.parameters())


def test_every_upsampled_row_of_a_tail_counts(data):
    costs = []
    for ratio in (5, 10):
        more = ("--tail_head_conf", f"ratio={ratio}")
        model, args = grids.built(data, "llama_omni", *more)
        batch = grids.batch_of(data, args, 4)
        costs.append(count_flops(model, batch))
    tail = linear_weights(model.core.tail_head)
    rows = batch["grid"].size(0) * (batch["grid"].size(1) - 1)
    assert costs[1] - costs[0] > 3 * 2 * tail * rows * 5  # and attention


def test_an_experiment_is_measured_once(data, tmp_path):
    exp, lengths = tmp_path / "moshi", tmp_path / "units_shape"
    units = (data / "units").read_text().splitlines()
    rows = [f"{line.split()[0]} {len(line.split()) - 1}\n" for line in units]
    lengths.write_text("".join(rows))
    conf = ["--batch_size", "4", "--max_epoch", "1", "--num_workers", "0"]
    for part in ("train", "valid"):
        option = f"--{part}_data_path_and_name_and_type"
        conf += [option, f"{data}/text,text,text"]
        conf += [option, f"{data}/units,units,text_int"]
        conf += [option, f"{data}/word_times,word_times,text_float"]
        conf += [f"--{part}_shape_file", str(lengths)]
    given = grids.options(data, "moshi", *conf, "--num_iters_per_epoch", "1")
    args = grids.SpokenLMTask.get_parser().parse_args(given)
    model = grids.SpokenLMTask.build_model(args)
    exp.mkdir()
    (exp / "config.yaml").write_text(yaml.safe_dump(vars(args)))
    assert training_cost(exp, SpokenLMTask) is None
    cost = step_cost(exp, SpokenLMTask)
    sizes = [p.numel() for p in model.parameters() if p.requires_grad]
    assert cost["trained"] == sum(sizes) and cost["total"] > cost["trained"]
    wanted = count_flops(model.train(), grids.batch_of(data, args, 4))
    assert 0.3 < cost["flops"] / wanted < 3.0  # of batches of other lengths
    assert (exp / STEP_COST).is_file()

    assert step_cost(exp, task=None) == cost  # it is not measured again
