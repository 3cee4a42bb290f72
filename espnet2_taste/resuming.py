"""ESPnet trainings that survive a kill at any moment.

Enters: the experiment directory of an ESPnet training. Leaves: the same, such that
``--resume true`` goes on from the last epoch that was finished.

ESPnet writes ``checkpoint.pth`` in place, then ``<N>epoch.pth``, then the links to the
best epochs. A kill in the first leaves half a checkpoint, which no later run can read;
a kill between them leaves an epoch without its model. ``whole_files`` closes the first
gap while a training runs, ``complete_epoch`` mends the others before it goes on.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKPOINT = "checkpoint.pth"


@contextmanager
def whole_files() -> Iterator[None]:
    """Let ``torch.save`` write beside the file and rename, within this context."""
    import torch

    save = torch.save

    def save_whole(obj, f, *args, **kwargs) -> None:
        if not isinstance(f, (str, os.PathLike)):
            save(obj, f, *args, **kwargs)
            return
        path = Path(f)
        part = path.with_name(f".{path.name}.part")
        save(obj, part, *args, **kwargs)
        os.replace(part, path)

    torch.save = save_whole
    try:
        yield
    finally:
        torch.save = save


def complete_epoch(experiment: str | Path) -> list[str]:
    """Write what a kill kept ESPnet from writing after its last checkpoint.

    Args:
        experiment: Directory of the training; nothing happens without a checkpoint.

    Returns:
        Names of the files and links that were written.

    Raises:
        RuntimeError: The checkpoint cannot be read.
    """
    import torch
    import yaml
    from espnet2.train.reporter import Reporter

    experiment = Path(experiment)
    if not (experiment / CHECKPOINT).is_file():
        return []
    states = _read(experiment / CHECKPOINT)
    reporter = Reporter()
    reporter.load_state_dict(states["reporter"])
    written = []
    last = f"{reporter.get_epoch()}epoch.pth"
    if not (experiment / last).is_file():
        with whole_files():
            torch.save(states["model"], experiment / last)
        written.append(last)
    wanted = {"latest.pth": last}
    config = yaml.safe_load((experiment / "config.yaml").read_text(encoding="utf-8"))
    for phase, key, mode in config["best_model_criterion"]:
        if reporter.has(phase, key):
            best = reporter.get_best_epoch(phase, key, mode)
            wanted[f"{phase}.{key}.best.pth"] = f"{best}epoch.pth"
    for link, target in wanted.items():
        if (experiment / target).is_file() and _points_to(experiment / link) != target:
            (experiment / link).unlink(missing_ok=True)
            (experiment / link).symlink_to(target)
            written.append(link)
    if written:
        logging.info("%s: completed after a kill: %s", experiment, ", ".join(written))
    return written


def _read(checkpoint: Path) -> dict:
    import pickle

    import torch

    try:
        return torch.load(checkpoint, "cpu", weights_only=True)
    except (EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise RuntimeError(
            f"{checkpoint} cannot be read ({error!r}): it was not written to its end. "
            "Remove it to train again from the first epoch"
        ) from error


def _points_to(link: Path) -> str:
    return os.readlink(link) if link.is_symlink() else ""
