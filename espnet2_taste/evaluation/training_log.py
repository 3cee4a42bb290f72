"""What a training cost, from the log that ESPnet keeps of it.

Enters: the text of ``train.log`` files, resumed trainings one after the other. Leaves:
parameters, epochs, seconds. Pure.
"""

import re
from dataclasses import dataclass

PARAMETERS = re.compile(r"trainable parameters: (\d+) of (\d+)")
BATCHES = re.compile(r"\[train\] mini-batch sizes summary: N-batch=(\d+)")
EPOCH = re.compile(r"(\d+)epoch results: \[train\].*?\btime=(.*?), total_count=(\d+)")
PART = re.compile(r"([\d.]+) (day|hour|minute|second)")
SECONDS = {"day": 86400.0, "hour": 3600.0, "minute": 60.0, "second": 1.0}


@dataclass(frozen=True)
class TrainingCost:
    """Cost of a training.

    Attributes:
        trained: Parameters that train.
        total: All parameters.
        epochs: Epochs that were finished.
        steps: Batches in them.
        passes: How often they went through the training set.
        seconds: Spent in training, validation left out.
    """

    trained: int
    total: int
    epochs: int
    steps: int
    passes: float
    seconds: float


def timespan(text: str) -> float:
    """Seconds of a span in words.

    Example:
        >>> timespan("1 hour, 2 minutes and 3.5 seconds")
        3723.5
    """
    return sum(float(number) * SECONDS[unit] for number, unit in PART.findall(text))


def read_training_log(text: str) -> TrainingCost | None:
    """Read the cost of a training.

    Args:
        text: Of its logs; an epoch that was done twice counts as the last time.

    Returns:
        The cost, None if no epoch was finished or no parameters were counted.
    """
    counted = PARAMETERS.findall(text)
    epochs = {int(n): (timespan(t), int(steps)) for n, t, steps in EPOCH.findall(text)}
    if not counted or not epochs:
        return None
    trained, total = map(int, counted[-1])
    steps = epochs[max(epochs)][1]
    batches = BATCHES.findall(text)
    return TrainingCost(
        trained=trained,
        total=total,
        epochs=len(epochs),
        steps=steps,
        passes=steps / int(batches[-1]) if batches else float(len(epochs)),
        seconds=sum(seconds for seconds, _ in epochs.values()),
    )
