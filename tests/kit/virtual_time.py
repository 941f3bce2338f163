"""Lets hours pass in seconds for an agent whose clock a test moves, while sockets and threads go on in real time."""

import inspect
from collections.abc import Callable
from typing import Any

from tests.kit.clock import ManualClock
from tests.kit.waiting import settled

_QUIET_S = 0.02  # what was woken has done its work when the sleepers stay the same for so long


async def elapse(clock: ManualClock, seconds: float, *, step_s: float = 10) -> None:
    """Let time pass, step by step."""
    end = clock.monotonic() + seconds
    while clock.monotonic() < end:
        clock.advance(min(step_s, end - clock.monotonic()))
        await settled(lambda: clock.sleepers, for_s=_QUIET_S)


async def within(clock: ManualClock, seconds: float, check: Callable[[], Any]) -> float:
    """Let time pass until a check, plain or async, is true; return how many seconds it took.

    Raises:
        AssertionError: it is not true after so many seconds.
    """
    began = clock.monotonic()
    while True:
        answer = check()
        if await answer if inspect.isawaitable(answer) else answer:
            return clock.monotonic() - began
        assert clock.monotonic() - began < seconds, f"not so after {seconds} s of virtual time"
        await elapse(clock, 1, step_s=1)
