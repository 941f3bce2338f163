"""An event loop in which time passes only while nothing can be done, and clocks that read it.

Where nothing is ready, the loop jumps to the next timer: an hour of back-offs costs no time, and asyncio's own deadlines
are virtual too. Work for threads is done in the loop itself, in its order, and sets of tasks have an order that does not
depend on where in memory each lies, so two runs with one seed are the same run. It reads no socket: what runs in it talks
in memory.
"""

import asyncio
import itertools
import selectors
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Self

START = datetime(2026, 1, 1, tzinfo=UTC)


class StandstillError(AssertionError):
    """Nothing is ready and no timer is set: whoever waits would wait for ever."""


class _Jumping(selectors.SelectSelector):
    """Passes the time that the loop would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: Callable[[float], None] = lambda _seconds: None

    def select(self, timeout: float | None = None) -> list[Any]:
        """Let the time pass; no socket is ever ready."""
        if timeout is None:
            raise StandstillError("nothing is left that could happen")
        if timeout > 0:
            self.passed(timeout)
        return []


class _NumberedTask(asyncio.Task[Any]):
    """The tasks of a group are cancelled in the order of a set: by the numbers of tasks, not by their addresses."""

    _number: int

    def __new__(cls, *_args: Any, loop: "VirtualLoop", **_words: Any) -> Self:
        task = super().__new__(cls)
        task._number = next(loop.numbers)
        return task

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.SelectorEventLoop):
    """Give it to `asyncio.Runner(loop_factory=VirtualLoop)`."""

    def __init__(self) -> None:
        self._virtual = 1000.0
        self.numbers = itertools.count()
        selector = _Jumping()
        super().__init__(selector)
        selector.passed = self._pass
        self.set_task_factory(lambda loop, work, **words: _NumberedTask(work, loop=loop, **words))

    def time(self) -> float:
        """Return the virtual seconds."""
        return self._virtual

    def _pass(self, seconds: float) -> None:
        # A sum of floats may miss a timer by a hair; the loop would then turn for nothing.
        self._virtual += seconds + 1e-9

    def run_in_executor(  # type: ignore[override] # no executor is used
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Call the function in one of the loop's next turns; as with a thread, it runs even if nobody waits any more."""
        del executor
        future = self.create_future()

        def work() -> None:
            try:
                answer = func(*args)
            except Exception as error:  # noqa: BLE001 - it is handed to who waits, as a thread's is
                if not future.cancelled():
                    future.set_exception(error)
            else:
                if not future.cancelled():
                    future.set_result(answer)

        self.call_soon(work)
        return future


class SteppedClock:
    """The clock of one machine in a virtual loop: its time of day may be wrong, its monotonic one never is."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def now(self) -> datetime:
        """Return the time of day as this machine has it."""
        return START + timedelta(seconds=self.monotonic() + self.offset_s)

    def monotonic(self) -> float:
        """Return the loop's seconds."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(max(0.0, seconds))  # virtual: the loop jumps to what is due next
