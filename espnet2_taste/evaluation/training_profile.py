"""What the steps of a training spend their time on.

Enters: an experiment of this package, in the directory from which it was trained.
Leaves: the operations that take most of its own batches' steps, by torch's profiler.
"""

from itertools import chain, count, islice
from pathlib import Path

import torch
from espnet2.train.distributed_utils import DistributedOption
from torch.profiler import ProfilerActivity, profile

from espnet2_taste.experiment_files import MODEL_FILE
from espnet2_taste.tasks.spoken_lm import SpokenLMTask
from espnet2_taste.tasks.taste import TasteTask
from espnet2_taste.tasks.text_lm import TextLmTask

TASKS = {"taste": TasteTask, "spoken_lm": SpokenLMTask, "text_lm": TextLmTask}


def profile_rows(task: str, exp: str, steps: int, lines: int = 10) -> list[dict]:
    """Profile steps (loss, gradients, their norm, AdamW) on the CPU.

    The batches have passed once, so that what an epoch keeps for the next is known.

    Args:
        task: One of ``TASKS``.
        exp: Directory with ``config.yaml`` and a trained model.
        steps: How many; each has another batch of the training set.
        lines: Operations to name.

    Returns:
        Operations with their share of the time, themselves and without what they call,
        and calls a step.

    Raises:
        ValueError: An unknown task.
    """
    if task not in TASKS:
        raise ValueError(f"--exp_task {task}: expected one of {list(TASKS)}")
    files = (str(Path(exp) / name) for name in ("config.yaml", MODEL_FILE))
    model, args = TASKS[task].build_model_from_file(*files, "cpu")
    args.num_workers = 0  # loading is no part of a step
    factory = TASKS[task].build_iter_factory(args, DistributedOption(), mode="train")
    epochs = chain.from_iterable(map(factory.build_iter, count(1)))
    batches = [{**batch, "utt_id": ids} for ids, batch in islice(epochs, steps)]
    found = _profile(model.train(), batches)
    whole = sum(event.self_cpu_time_total for event in found)
    most = sorted(found, key=lambda event: -event.self_cpu_time_total)[:lines]
    return [
        {
            "operation": event.key,
            "share %": 100 * event.self_cpu_time_total / whole,
            "calls a step": event.count / steps,
        }
        for event in most
    ]


def _profile(model: torch.nn.Module, batches: list[dict]) -> list:
    """Times by operation of the second pass of the batches."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.0, fused=True)

    def step(batch: dict) -> None:
        optimizer.zero_grad(set_to_none=True)
        model(**batch)[0].backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()

    for batch in batches:
        step(batch)
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as events:
        for batch in batches:
            step(batch)
    return list(events.key_averages())
