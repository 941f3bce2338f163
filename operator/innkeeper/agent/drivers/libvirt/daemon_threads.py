"""Threads for calls that may never come back: they end with the process, which waits for none of them.

The standard library's pool joins its threads when the interpreter ends, daemons too: one call that hangs would keep the
process from ending. It knows nothing of what the calls do. One thread alone hands in work and shuts down.
"""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class DaemonThreads(Executor):
    """`most` threads at most, each begun when no other is free; `name` is what they are called."""

    def __init__(self, *, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._queue: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._free = threading.Semaphore(0)
        self._begun = 0
        self._closed = False

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have work done once a thread is free.

        Raises:
            RuntimeError: it was shut down.
        """
        if self._closed:
            raise RuntimeError(f"the threads {self._name} take no more work")
        future: Future[T] = Future()
        self._queue.put((future, partial(work, *args, **kwargs)))
        if not self._free.acquire(blocking=False) and self._begun < self._most:
            threading.Thread(target=self._work, name=f"{self._name}_{self._begun}", daemon=True).start()
            self._begun += 1
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = True) -> None:  # noqa: FBT001, FBT002 - as declared
        """Take no more work, drop what has not begun, and let each thread end after its call; none is waited for.

        Raises:
            ValueError: it is asked to wait, or to do what waits.
        """
        if wait or not cancel_futures:
            raise ValueError("these threads are not waited for")
        self._closed = True
        with contextlib.suppress(Empty):
            while True:
                dropped = self._queue.get_nowait()
                if dropped is not None:
                    dropped[0].cancel()
        for _ in range(self._begun):
            self._queue.put(None)

    def _work(self) -> None:
        while (taken := self._queue.get()) is not None:
            _do(*taken)
            del taken  # while it waits it holds on to nothing
            self._free.release()


def _do(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 - whoever waits is told, as by every executor
        future.set_exception(error)
    else:
        future.set_result(result)
