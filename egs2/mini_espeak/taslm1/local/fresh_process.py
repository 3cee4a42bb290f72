"""Run tasks, each in a process of its own that starts from the same state.

Enters: a function and its tasks. Leaves: the results in the order of the tasks.

A pool would reuse its processes, and the synthesizer remembers what it said before:
the samples would depend on which process got which task. Here a task's process is
forked from the caller, which never opens the synthesizer, and ends with its task.
"""

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait


def map_fresh(function: Callable, tasks: list, processes: int) -> Iterator:
    """Yield ``function(task)`` for every task.

    Args:
        function: Called in the new process; its result must be picklable.
        tasks: One argument each.
        processes: How many run at a time.

    Yields:
        Results in the order of ``tasks``.

    Raises:
        RuntimeError: A process ended with an error; the message holds its text.
    """
    context = multiprocessing.get_context("fork")
    running: dict[Connection, int] = {}
    results: dict[int, object] = {}
    started = delivered = 0
    while delivered < len(tasks):
        while started < len(tasks) and len(running) < processes:
            receiver, sender = context.Pipe(duplex=False)
            job = (function, tasks[started], sender)
            context.Process(target=_work, args=job, daemon=True).start()
            sender.close()
            running[receiver] = started
            started += 1
        for receiver in wait(list(running)):
            results[running.pop(receiver)] = _receive(receiver)
        while delivered in results:
            yield results.pop(delivered)
            delivered += 1


def _work(function: Callable, task, sender: Connection) -> None:
    """Body of a process: send the result, or the text of the error."""
    try:
        sender.send((function(task), ""))
    except Exception as error:
        sender.send((None, f"{type(error).__name__}: {error}"))


def _receive(receiver: Connection):
    """Result of one process."""
    try:
        result, error = receiver.recv()
    except EOFError:
        error = "it ended without a result (killed, or out of memory)"
    if error:
        raise RuntimeError(f"A synthesis process failed: {error}")
    return result
