"""One model, many requests: they wait in a line of limited length.

Enters: functions that use the model. Leaves: their results, in the order in which they
came; a stream of pieces while they are made.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


class Busy(Exception):
    """Too many requests are waiting."""


class Worker:
    """Runs the model for one request at a time.

    Args:
        most: Requests that wait or run; another one is refused.
    """

    def __init__(self, most: int):
        self.most = most
        self.waiting = 0
        self.lock = threading.Lock()
        self.thread = ThreadPoolExecutor(1, "model")

    def _submit(self, work: Callable[[], Result]) -> Future:
        with self.lock:
            if self.waiting >= self.most:
                raise Busy(f"{self.most} requests are waiting; try again in a moment")
            self.waiting += 1
        future = self.thread.submit(work)
        future.add_done_callback(self._leave)
        return future

    def _leave(self, future: Future) -> None:
        with self.lock:
            self.waiting -= 1

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run a function when its turn comes.

        Raises:
            Busy: The line is full.
        """
        return await asyncio.wrap_future(self._submit(work))

    async def stream(self, make: Callable[[], Iterator[Any]]) -> AsyncIterator[Any]:
        """Give the pieces of an iterator while they are made.

        The model does not wait for a slow reader. It stops when the reader leaves.

        Args:
            make: Begins the iterator; it runs where the model runs.

        Returns:
            The pieces. What fails before the first one is raised here.

        Raises:
            Busy: The line is full.
        """
        loop, pieces = asyncio.get_running_loop(), asyncio.Queue()
        left = threading.Event()

        def work() -> None:
            for piece in make():
                if left.is_set():
                    return
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        done = asyncio.wrap_future(self._submit(work))
        done.add_done_callback(lambda _: pieces.put_nowait(None))
        first = await pieces.get()
        if first is None:
            done.result()

        async def rest() -> AsyncIterator[Any]:
            piece = first
            try:
                while piece is not None:
                    yield piece
                    piece = await pieces.get()
                done.result()
            finally:
                left.set()

        return rest()
