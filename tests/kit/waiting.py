"""Waiting for a condition with a deadline: what tests do in place of sleeping.

`eventually` and `settled` look often, in a test's own loop; `until` now and then, at what kubectl or a guest says. A
condition that does not come true fails the test and says what was last seen.
"""

import asyncio
import inspect
import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

_POLL_S = 0.005
_LONGEST_POLL_S = 0.1
_PAUSE_S = 0.2


class NotSoError(AssertionError):
    """What was waited for did not come true in time."""


async def eventually(check: Callable[[], Any], *, deadline_s: float = 10) -> Any:
    """Return the first true answer of `check`, plain or async.

    An AssertionError inside it counts as "not yet", and so does a KeyError: a view that lags does not hold the object.

    Raises:
        NotSoError: when the deadline passes first; it carries the last answer.
    """
    end = time.monotonic() + deadline_s
    pause = _POLL_S
    while True:
        trouble: AssertionError | KeyError | None = None
        answer: Any = None
        try:
            answer = await _asked(check)
            if answer:
                return answer
        except (AssertionError, KeyError) as error:
            trouble = error
        if time.monotonic() > end:
            name = getattr(check, "__qualname__", repr(check))
            seen = repr(trouble) if trouble else f"it answered {answer!r}"
            raise NotSoError(f"not so after {deadline_s} s: {name}: {seen}") from trouble
        await asyncio.sleep(pause)  # between two looks: the deadline is above
        pause = min(pause * 1.5, _LONGEST_POLL_S)


def until(check: Callable[[], T], *, what: str, within_s: float = 60) -> T:
    """Return the first true answer of `check`.

    Raises:
        NotSoError: when the deadline passes first; it carries the last answer.
    """
    end = time.monotonic() + within_s
    while not (answer := check()):
        if time.monotonic() > end:
            raise NotSoError(f"waited {within_s:.0f} s for {what}; the last answer was {answer!r}")
        time.sleep(_PAUSE_S)  # between two looks: the deadline is above
    return answer


async def one_turn() -> None:
    """Let everything that is due have its turn; no time passes."""
    await asyncio.sleep(0)  # a turn of the loop


async def settled(value: Callable[[], T], *, for_s: float = 0.2, deadline_s: float = 10) -> T:
    """Return `value()` once it has not changed for `for_s` seconds: for "and nothing more happens".

    As many looks as fit into that time must find it the same too: where all stands still, no time counts as quiet.

    Raises:
        NotSoError: when it still changes at the deadline.
    """
    end = time.monotonic() + deadline_s
    last, since, looks = value(), time.monotonic(), 0
    while looks < math.ceil(for_s / _POLL_S) or time.monotonic() - since < for_s:
        await asyncio.sleep(_POLL_S)
        now = value()
        looks += 1
        if now != last:
            if time.monotonic() > end:
                raise NotSoError(f"still changes after {deadline_s} s: {last!r}, then {now!r}")
            last, since, looks = now, time.monotonic(), 0
    return last


async def _asked(check: Callable[[], Any]) -> Any:
    answer = check()
    return await answer if inspect.isawaitable(answer) else answer
