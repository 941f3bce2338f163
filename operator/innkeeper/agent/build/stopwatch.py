"""Where the time of a build goes: the hypervisor, the image's bytes, and the rest, which is the agent's own."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """Counts seconds from its making on, some of them as spent outside."""

    def __init__(self, monotonic: Callable[[], float] = time.perf_counter) -> None:
        self._monotonic = monotonic
        self._began = monotonic()
        self._outside: dict[str, float] = defaultdict(float)

    @contextmanager
    def outside(self, where: str) -> Iterator[None]:
        """Count the time of the block as spent at `where`."""
        began = self._monotonic()
        try:
            yield
        finally:
            self._outside[where] += self._monotonic() - began

    def spent(self, where: str) -> float:
        """Return the seconds spent at `where`."""
        return self._outside[where]

    def all(self) -> float:
        """Return the seconds since its making."""
        return self._monotonic() - self._began

    def own(self) -> float:
        """Return the seconds spent nowhere else."""
        return self.all() - sum(self._outside.values())
