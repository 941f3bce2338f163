"""Lets hours pass in seconds for an agent whose clock a test moves, while sockets and threads go on in real time.

Between two steps all that the last one woke has its time, however slow the machine is: several looks in a row found no
thread at work, and nobody who lay down, woke or gave a thread work. What happens while the clock stands takes no virtual
time.
"""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from tests.kit.clock import ManualClock
from tests.kit.waiting import eventually, settled

_QUIET_S = 0.02
_LONG_QUIET_S = 0.1  # where one step is a large part of a bound
_WORK_S = 60


class _Threads:
    """Counts what the running loop gives to threads: a commit waits for the disk, and that may take any time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.begun = self.pending = 0
        self._plain = loop.run_in_executor
        loop.run_in_executor = self.run  # type: ignore[method-assign, assignment] # all ways to a thread lead here

    @classmethod
    def of_loop(cls) -> "_Threads":
        """Return the count of this loop; its first caller begins it."""
        loop = asyncio.get_running_loop()
        known = getattr(loop.run_in_executor, "__self__", None)
        return known if isinstance(known, cls) else cls(loop)

    def run(self, executor: Any, work: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Do as the loop does, and count."""
        ended = self._plain(executor, work, *args)
        self.begun += 1
        self.pending += 1
        ended.add_done_callback(self._ended)
        return ended

    def _ended(self, _: asyncio.Future[Any]) -> None:
        self.pending -= 1


async def quiet(clock: ManualClock, *, for_s: float = _LONG_QUIET_S) -> None:
    """Wait until all that can be done without more time is done."""
    threads = _Threads.of_loop()
    while True:
        await settled(lambda: (clock.slept, clock.sleepers, threads.begun), for_s=for_s, deadline_s=_WORK_S)
        if not threads.pending:
            return
        await eventually(lambda: not threads.pending, deadline_s=_WORK_S)


async def elapse(clock: ManualClock, seconds: float, *, step_s: float = 10) -> None:
    """Let time pass, step by step."""
    _Threads.of_loop()  # the work that the first step brings counts, too
    end = clock.monotonic() + seconds
    while clock.monotonic() < end:
        clock.advance(min(step_s, end - clock.monotonic()))
        await quiet(clock, for_s=_QUIET_S)


async def within(clock: ManualClock, seconds: float, check: Callable[[], Any]) -> float:
    """Let time pass until a check, plain or async, is true; return how many seconds it took.

    Raises:
        AssertionError: it is not true after so many seconds.
    """
    await quiet(clock)
    began = clock.monotonic()
    while True:
        answer = check()
        if await answer if inspect.isawaitable(answer) else answer:
            return clock.monotonic() - began
        assert clock.monotonic() - began < seconds, f"not so after {seconds} s of virtual time"
        clock.advance(1)
        await quiet(clock)
