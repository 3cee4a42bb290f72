"""What a training cost: its steps and seconds, and the arithmetic of its modules.

Enters: the experiment directory of an ESPnet training. Leaves: parameters, epochs,
steps, seconds and floating point operations. The operations are counted by torch while
the model computes the loss and the gradients of some of its own batches, so that
nothing that runs in a step is left out: attention, the pass of the base LM, a tail.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from espnet2_taste.data.ctm import finite, read_rows
from espnet2_taste.data.files import read_json
from espnet2_taste.evaluation.budget import equal_flops_steps, scaled_steps
from espnet2_taste.experiment_files import load_weights, read_config
from espnet2_taste.resuming import CHECKPOINT

STEP_COST = "step_cost.json"
SAMPLED_BATCHES = 8
"""Batches whose operations are counted."""


def count_flops(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> int:
    """Count the operations of a loss and its gradients.

    Args:
        model: An ESPnet model.
        batch: Of its data.

    Returns:
        Floating point operations of matrix products and convolutions, two for each
        multiplication and addition.
    """
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    # Only this backend of attention consists of products that the counter knows.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model(**batch)[0].backward()
    model.zero_grad()
    return counter.get_total_flops()


def sample_batches(task, args: argparse.Namespace, count: int) -> Iterator[dict]:
    """Take batches of a training, evenly spaced in the order of its batch sampler.

    Samplers that sort by length then give short and long ones alike.

    Args:
        task: The task class.
        args: Options of the training.
        count: Most batches.

    Yields:
        Batches as the model reads them.
    """
    from espnet2.train.distributed_utils import DistributedOption

    options = argparse.Namespace(**{**vars(args), "num_iters_per_epoch": None})
    factory = task.build_iter_factory(options, DistributedOption(), mode="train")
    batches = factory.sampler.generate(args.seed)
    count = min(count, len(batches))
    chosen = [batches[(2 * i + 1) * len(batches) // (2 * count)] for i in range(count)]
    loader = DataLoader(
        factory.dataset, batch_sampler=chosen, collate_fn=factory.collate_fn
    )
    for _, batch in loader:
        yield batch


def measure_step(task, config: Path) -> dict[str, float]:
    """Build a model without its weights and count the operations of its steps.

    Args:
        task: The task class.
        config: ``config.yaml`` of the experiment.

    Returns:
        ``trained`` and ``total`` parameters; ``flops``, floating point operations of a
        step, forward and backward, on average.
    """
    args = argparse.Namespace(**read_config(config))
    model = task.build_model(args).train()
    counts = [
        count_flops(model, b) for b in sample_batches(task, args, SAMPLED_BATCHES)
    ]
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return {
        "trained": sum(size for size, trains in sizes if trains),
        "total": sum(size for size, _ in sizes),
        "flops": sum(counts) / len(counts),
    }


def step_cost(experiment: Path, task) -> dict[str, float]:
    """Cost of a step; it is kept beside the options that it follows from.

    Args:
        experiment: Directory of a training.
        task: The task class that trained it.

    Returns:
        See :func:`measure_step`.
    """
    config, kept = experiment / "config.yaml", experiment / STEP_COST
    if kept.is_file() and kept.stat().st_mtime >= config.stat().st_mtime:
        return read_json(kept)
    cost = measure_step(task, config)
    kept.write_text(json.dumps(cost), encoding="utf-8")
    return cost


def training_cost(experiment: str | Path, task) -> dict[str, float] | None:
    """Cost of a training that ESPnet keeps a checkpoint of.

    Args:
        experiment: Its directory.
        task: The task class that trained it.

    Returns:
        ``trained`` and ``total`` parameters, finished ``epochs``, ``steps`` in them,
        ``seconds`` of training, validation left out, ``flops`` of all steps; None if
        no epoch was finished.
    """
    from espnet2.train.reporter import Reporter

    experiment = Path(experiment)
    if not (experiment / CHECKPOINT).is_file():
        return None
    reporter = Reporter()
    reporter.load_state_dict(load_weights(experiment / CHECKPOINT)["reporter"])
    epochs = range(1, reporter.get_epoch() + 1)
    done = [reporter.stats[epoch]["train"] for epoch in epochs]
    step, steps = step_cost(experiment, task), done[-1]["total_count"]
    seconds = sum(stats["time"].total_seconds() for stats in done)
    cost = {"epochs": len(done), "steps": steps, "seconds": seconds}
    return step | cost | {"flops": steps * step["flops"]}


BUDGET_HEADER = (
    "design",
    "trained_parameters",
    "parameters",
    "epochs",
    "training_seconds",
    "rows",
    "padding_percent",
    "training_teraflops",
    "equal_flops_steps_an_epoch",
    "equal_flops_warmup_steps",
    "rows_written_per_second",
)


def rows_per_second(folder: Path) -> dict[str, str]:
    """Rows that generation wrote in a second, over all sets that were continued."""
    found = [
        row
        for path in sorted(folder.glob("continuation/*/speed.tsv"))
        for row in read_rows(path, {"seconds": finite, "rows": int})
    ]
    seconds, rows = (sum(row[key] for row in found) for key in ("seconds", "rows"))
    return {"rows_written_per_second": f"{rows / seconds:.1f}"} if seconds else {}


def equal_flops(folder: Path, cost: Mapping, reference: float) -> dict[str, str]:
    """How a training would cost what another one did.

    Args:
        folder: Its experiment.
        cost: ``training_cost`` of it.
        reference: Operations of the other training.

    Returns:
        Steps an epoch, and the corners of the learning rate's schedule in steps as a
        YAML list, absent for a schedule of another kind.
    """
    sizes = (cost[key] for key in ("steps", "epochs", "flops"))
    steps = equal_flops_steps(*sizes, reference)
    found = {"equal_flops_steps_an_epoch": str(steps)}
    conf = read_config(folder / "config.yaml").get("scheduler_conf", {})
    if corners := conf.get("warmup_steps_list"):
        scaled = scaled_steps(corners, steps * cost["epochs"] / cost["steps"])
        found["equal_flops_warmup_steps"] = f"[{','.join(map(str, scaled))}]"
    return found


def budget_row(
    folder: Path, padding: dict, cost: Mapping | None, reference: float | None
) -> dict:
    """What is known of a design.

    Args:
        folder: Its experiment.
        padding: Rows of the table of padding by design.
        cost: Its ``training_cost``.
        reference: Operations of the training that sets the budget, or None.

    Returns:
        Values of columns of ``BUDGET_HEADER``.
    """
    name = folder.name  # TASLM's variants share one row of padding
    laid_out = padding.get(name, padding.get(name.split("_")[0], {}))
    row = {key: laid_out[key] for key in ("rows", "padding_percent") if key in laid_out}
    row["design"] = name
    if cost is not None:
        row |= {"trained_parameters": cost["trained"], "parameters": cost["total"]}
        row |= {"epochs": cost["epochs"], "training_seconds": f"{cost['seconds']:.0f}"}
        row["training_teraflops"] = f"{cost['flops'] / 1e12:.2f}"
        if reference is not None:
            row |= equal_flops(folder, cost, reference)
    return row | rows_per_second(folder)
