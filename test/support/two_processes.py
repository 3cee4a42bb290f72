"""One training in two processes on one machine, by ESPnet's own options.

A server imports ESPnet once; each rank is a fork of it, so that a training costs what
it computes.
"""

import importlib
import multiprocessing
import os
import traceback
from pathlib import Path

MINUTES = 5
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["torch", "espnet2.tasks.abs_task", "transformers"])


def _run_rank(function, arguments, rank, error_file):
    import torch

    torch.set_num_threads(1)
    try:
        function(rank, *arguments)
    except BaseException:
        Path(error_file).write_text(traceback.format_exc(), encoding="utf-8")
        os._exit(1)  # the other rank waits for this one's messages


def run_in_two(folder, function, *arguments):
    """Run ``function(rank, *arguments)`` as ranks 0 and 1; raise what went wrong.

    Args:
        folder: For what the two tell each other.
        function: Of a module that can be imported.
        *arguments: Anything that can be pickled.
    """
    files = [Path(folder) / f"error_of_rank{rank}.txt" for rank in range(2)]
    ranks = [
        CONTEXT.Process(target=_run_rank, args=(function, arguments, rank, str(file)))
        for rank, file in enumerate(files)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60 * MINUTES)
    errors = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    for process in ranks:
        if process.is_alive():
            process.kill()
            errors.append("a rank hangs")
    assert not errors, "\n".join(errors)
    assert [process.exitcode for process in ranks] == [0, 0]


def _train_rank(rank, module, cmd, folder):
    importlib.import_module(module).main(
        cmd=[
            *cmd,
            *("--ngpu", "0", "--multiprocessing_distributed", "false"),
            *("--dist_backend", "gloo", "--dist_world_size", "2"),
            *("--dist_rank", str(rank)),
            *("--dist_init_method", f"file://{folder}/meeting"),
        ]
    )


def train_in_two(folder, module, cmd):
    """Run the training command ``module`` with the options ``cmd`` in two processes."""
    run_in_two(folder, _train_rank, module, cmd, str(folder))
