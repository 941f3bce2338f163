"""Calls that may hang for ever, as on a mount whose server is gone: each in a thread that nobody waits for at the end.

The threads of asyncio are few, and a process that ends waits for all of them. One of these takes none of theirs, and ends
with its process. Whoever is cancelled leaves it to itself.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_own_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `work` returns, or raise what it raises."""
    outcome: Future[T] = Future()
    outcome.set_running_or_notify_cancel()  # from now on nobody who leaves can cancel it under the thread's hands

    def run() -> None:
        try:
            result = work(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it, be it what it may
            outcome.set_exception(error)
        else:
            outcome.set_result(result)

    waited = asyncio.wrap_future(outcome)
    threading.Thread(target=run, name="backup", daemon=True).start()
    return await waited
