"""Files of ESPnet trainings that survive a kill at any moment.

Enters: the experiment directory of an ESPnet training. Leaves: the same, such that
``--resume true`` goes on from the last epoch that was finished.

ESPnet writes ``checkpoint.pth`` in place, then ``<N>epoch.pth``, then the links to the
best epochs. A kill in one of the first two leaves half a file; a kill between them
leaves an epoch without its model. ``set_aside`` keeps the former checkpoint until the
next one is written, ``complete_epoch`` mends what a kill has left. Where no checkpoint
can be read, as on a disk with errors, the last epoch's model goes on with an optimizer
and a schedule that begin anew.
"""

import logging
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from espnet2_taste.data.files import whole_file
from espnet2_taste.experiment_files import load_weights

CHECKPOINT, FORMER, MODEL = "checkpoint.pth", "checkpoint.former.pth", "epoch.pth"


def set_aside(experiment: Path) -> None:
    """Keep the last checkpoint under another name while the next is written.

    Args:
        experiment: Directory of the training.
    """
    if (experiment / CHECKPOINT).is_file():
        os.replace(experiment / CHECKPOINT, experiment / FORMER)


def forget_former(experiment: Path) -> None:
    """Remove what ``set_aside`` has kept.

    Args:
        experiment: Directory of the training.
    """
    (experiment / FORMER).unlink(missing_ok=True)


def complete_epoch(
    experiment: Path,
    criteria: Sequence[tuple[str, str, str]],
    begin: Mapping[str, Any],
) -> list[str]:
    """Write what a kill kept ESPnet from writing, after its last whole checkpoint.

    Args:
        experiment: Directory of the training; nothing happens without a checkpoint.
        criteria: ESPnet's ``best_model_criterion``: phase, key and "min" or "max".
        begin: What a checkpoint holds beside model and reporter, as before the first
            step.

    Returns:
        Names of the files and links that were written.
    """
    import torch
    from espnet2.train.reporter import Reporter

    states = _last_states(experiment, begin)
    if states is None:
        return []
    reporter = Reporter()
    reporter.load_state_dict(states["reporter"])
    written = []
    last = f"{reporter.get_epoch()}{MODEL}"
    if not zipfile.is_zipfile(experiment / last):
        with whole_file(experiment / last) as part:
            torch.save(states["model"], part)
        written.append(last)
    wanted = {"latest.pth": last}
    for phase, key, mode in criteria:
        if reporter.has(phase, key):
            best = reporter.get_best_epoch(phase, key, mode)
            wanted[f"{phase}.{key}.best.pth"] = f"{best}{MODEL}"
    for link, target in wanted.items():
        if (experiment / target).is_file() and _points_to(experiment / link) != target:
            (experiment / link).unlink(missing_ok=True)
            (experiment / link).symlink_to(target)
            written.append(link)
    if written:
        logging.info("%s: completed after a kill: %s", experiment, ", ".join(written))
    return written


def _last_states(experiment: Path, begin: Mapping[str, Any]) -> dict | None:
    """The checkpoint; if it was cut off, the one before or the last epoch's model."""
    checkpoint, former = experiment / CHECKPOINT, experiment / FORMER
    states = _read(checkpoint)
    if states is None and (states := _read(former)) is not None:
        logging.warning("%s was cut off: going on from the epoch before", checkpoint)
        os.replace(former, checkpoint)
    if states is None and checkpoint.is_file():
        states = _from_last_model(experiment, begin)
    return states


def _from_last_model(experiment: Path, begin: Mapping[str, Any]) -> dict | None:
    """Put a checkpoint of the last whole model in place of one that cannot be read."""
    import torch

    checkpoint = experiment / CHECKPOINT
    epochs = {int(p.name[: -len(MODEL)]): p for p in experiment.glob(f"[0-9]*{MODEL}")}
    for epoch in sorted(epochs, reverse=True):
        if (model := _read(epochs[epoch])) is None:
            continue
        logging.warning(
            "%s cannot be read: going on from %s; optimizer and schedule begin anew",
            *(checkpoint, epochs[epoch]),
        )
        states = {**begin, "model": model, "reporter": {"epoch": epoch, "stats": {}}}
        with whole_file(checkpoint) as part:
            torch.save(states, part)
        return states
    logging.warning("%s was cut off in its first epoch: starting anew", checkpoint)
    checkpoint.unlink()
    return None


def _read(checkpoint: Path) -> dict | None:
    if not zipfile.is_zipfile(checkpoint):  # its directory is written last
        return None
    return load_weights(checkpoint)


def _points_to(link: Path) -> str:
    return os.readlink(link) if link.is_symlink() else ""
