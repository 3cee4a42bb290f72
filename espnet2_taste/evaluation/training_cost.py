"""What a training cost: its steps and seconds, and the arithmetic of its modules.

Enters: the experiment directory of an ESPnet training. Leaves: parameters, epochs,
steps, seconds and floating point operations. The operations are counted by torch while
the model computes the loss and the gradients of some of its own batches, so that
nothing that runs in a step is left out: attention, the pass of the base LM, a tail.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class StepCost:
    """What one step of a training takes.

    Attributes:
        trained: Parameters that train.
        total: All parameters.
        flops: Floating point operations of a step, forward and backward, on average.
    """

    trained: int
    total: int
    flops: float


@dataclass(frozen=True)
class TrainingCost:
    """Cost of a training.

    Attributes:
        step: Of one step.
        epochs: Epochs that were finished.
        steps: Batches in them.
        seconds: Spent in training, validation left out.
    """

    step: StepCost
    epochs: int
    steps: int
    seconds: float

    @property
    def flops(self) -> float:
        """Floating point operations of all steps."""
        return self.steps * self.step.flops


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


def measure_step(task, config: Path) -> StepCost:
    """Build a model without its weights and count the operations of its steps.

    Args:
        task: The task class.
        config: ``config.yaml`` of the experiment.

    Returns:
        The cost of a step.
    """
    args = argparse.Namespace(**read_config(config))
    model = task.build_model(args).train()
    counts = [
        count_flops(model, b) for b in sample_batches(task, args, SAMPLED_BATCHES)
    ]
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return StepCost(
        trained=sum(size for size, trains in sizes if trains),
        total=sum(size for size, _ in sizes),
        flops=sum(counts) / len(counts),
    )


def step_cost(experiment: Path, task) -> StepCost:
    """Cost of a step; it is kept beside the options that it follows from.

    Args:
        experiment: Directory of a training.
        task: The task class that trained it.

    Returns:
        The cost of a step.
    """
    config, kept = experiment / "config.yaml", experiment / STEP_COST
    if kept.is_file() and kept.stat().st_mtime >= config.stat().st_mtime:
        return StepCost(**read_json(kept))
    cost = measure_step(task, config)
    kept.write_text(json.dumps(asdict(cost)), encoding="utf-8")
    return cost


def training_cost(experiment: str | Path, task) -> TrainingCost | None:
    """Cost of a training that ESPnet keeps a checkpoint of.

    Args:
        experiment: Its directory.
        task: The task class that trained it.

    Returns:
        The cost, None if no epoch was finished.
    """
    from espnet2.train.reporter import Reporter

    experiment = Path(experiment)
    if not (experiment / CHECKPOINT).is_file():
        return None
    reporter = Reporter()
    reporter.load_state_dict(load_weights(experiment / CHECKPOINT)["reporter"])
    epochs = range(1, reporter.get_epoch() + 1)
    done: list[dict[str, Any]] = [reporter.stats[epoch]["train"] for epoch in epochs]
    return TrainingCost(
        step=step_cost(experiment, task),
        epochs=len(done),
        steps=done[-1]["total_count"],
        seconds=sum(stats["time"].total_seconds() for stats in done),
    )


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


MISSING = "-"


def rows_per_second(folder: Path) -> str:
    """Rows that generation wrote in a second, over all sets that were continued."""
    found = [
        row
        for path in sorted(folder.glob("continuation/*/speed.tsv"))
        for row in read_rows(path, {"seconds": finite, "rows": int})
    ]
    seconds = sum(row["seconds"] for row in found)
    if not seconds:
        return MISSING
    return f"{sum(row['rows'] for row in found) / seconds:.1f}"


def padding_of(name: str, padding: dict) -> dict:
    """Row of a design in the table of padding; TASLM's variants share one."""
    return padding.get(name, padding.get(name.split("_")[0], {}))


def equal_flops(folder: Path, cost, reference: float) -> tuple[str, str]:
    """How a training would cost what another one did.

    Args:
        folder: Its experiment.
        cost: ``TrainingCost`` of it.
        reference: Operations of the other training.

    Returns:
        Steps an epoch, and the corners of the learning rate's schedule in steps as a
        YAML list; "-" for a schedule of another kind.
    """
    steps = equal_flops_steps(cost.steps, cost.epochs, cost.flops, reference)
    conf = read_config(folder / "config.yaml").get("scheduler_conf", {})
    corners = conf.get("warmup_steps_list")
    if corners is None:
        return str(steps), MISSING
    scaled = scaled_steps(corners, steps * cost.epochs / cost.steps)
    return str(steps), f"[{','.join(map(str, scaled))}]"


def budget_line(name: str, folder: Path, padding: dict, cost, reference) -> tuple:
    """One line of the table.

    Args:
        name: Of the design.
        folder: Its experiment.
        padding: Row of the table of padding, or nothing.
        cost: ``TrainingCost``, or None.
        reference: Operations of the training that sets the budget, or None.

    Returns:
        Cells under ``BUDGET_HEADER``.
    """
    rows = padding.get("rows", MISSING)
    share = padding.get("padding_percent", MISSING)
    spent: tuple = (MISSING,) * 4
    arithmetic, equal = MISSING, (MISSING, MISSING)
    if cost is not None:
        step = cost.step
        spent = (step.trained, step.total, cost.epochs, f"{cost.seconds:.0f}")
        arithmetic = f"{cost.flops / 1e12:.2f}"
        if reference is not None:
            equal = equal_flops(folder, cost, reference)
    speed = rows_per_second(folder)
    return (Path(name).name, *spent, rows, share, arithmetic, *equal, speed)
