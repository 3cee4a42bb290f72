"""Which task trained a spoken language model.

Enters: the options of an experiment. Leaves: its task class.
"""

from collections.abc import Mapping
from typing import Any

from espnet2_taste.tasks.grid_lm import GridLMTask
from espnet2_taste.tasks.load_spoken_lm import is_grid
from espnet2_taste.tasks.taslm import TaslmTask


def task_of(options: Mapping[str, Any]) -> type:
    """Find the task of an experiment.

    Args:
        options: Of its ``config.yaml``.

    Returns:
        The task class: of TASLM, whose heads predict codes, or of the grids.
    """
    return GridLMTask if is_grid(options) else TaslmTask
