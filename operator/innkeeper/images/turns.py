"""Turns for work that may not all be done at once: namespaces get them one after another, however much each one wants.

One turn is always left to other namespaces, so what one of them has read for hours keeps nobody else waiting for as long.
It knows nothing of the work.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Turns:
    """`at_once` turns; where there are several, all but one of them for one namespace at most."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._each = max(1, at_once - 1)
        self._held: Counter[str] = Counter()
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()  # whose turn is next first

    def waiting(self, namespace: str) -> int:
        """Return how many of a namespace wait."""
        return len(self._lines.get(namespace, ()))

    @asynccontextmanager
    async def turn(self, namespace: str) -> AsyncIterator[None]:
        """Wait for a turn, and hold it."""
        await self._get(namespace)
        try:
            yield
        finally:
            self._give_back(namespace)

    async def _get(self, namespace: str) -> None:
        granted = asyncio.get_running_loop().create_future()
        self._lines.setdefault(namespace, deque()).append(granted)
        self._hand_out()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.cancelled():
                self._leave(namespace, granted)
            else:  # it was given in the same moment
                self._give_back(namespace)
            raise

    def _hand_out(self) -> None:
        while self._held.total() < self._at_once:
            namespace = next((each for each in self._lines if self._held[each] < self._each), None)
            if namespace is None:
                return
            line = self._lines.pop(namespace)
            while line and line[0].done():  # cancelled in this moment: it leaves by itself
                line.popleft()
            if line:
                line.popleft().set_result(None)
                self._held[namespace] += 1
            if line:
                self._lines[namespace] = line  # behind those of all others

    def _give_back(self, namespace: str) -> None:
        self._held[namespace] -= 1
        if not self._held[namespace]:
            del self._held[namespace]
        self._hand_out()

    def _leave(self, namespace: str, granted: asyncio.Future[None]) -> None:
        line = self._lines.get(namespace, deque())
        with suppress(ValueError):  # passed over by who handed out a turn in the same moment
            line.remove(granted)
        if not line:
            self._lines.pop(namespace, None)
