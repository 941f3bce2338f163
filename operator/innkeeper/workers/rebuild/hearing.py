"""Hears every host: a few at a time, each with a deadline and several tries. It changes nothing anywhere.

What a host says is read once as it is, and judged by its signatures at once, so that what does not count is not kept.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from innkeeper.clock import Clock
from innkeeper.domain.rebuild.testimony import Testimony, judge
from innkeeper.hosts.ports import HostReader, HostUnreadError
from innkeeper.hosts.reading import read_store
from innkeeper.workers.rebuild.pool import for_each

log = structlog.get_logger(__name__)

WORKERS = 32
DEADLINE_S = 60.0  # for all that one host holds
TRIES = 3
AGAIN_S = 2.0


@dataclass(kw_only=True)
class Heard:
    """Whom was heard, and why others were not."""

    testimonies: dict[str, Testimony] = field(default_factory=dict)
    unheard: dict[str, str] = field(default_factory=dict)  # host -> why


class Hearing:
    """Asks hosts. `reader` gives None where nobody knows where a host is reached."""

    def __init__(
        self,
        reader: Callable[[str], HostReader | None],
        *,
        keys: Mapping[str, bytes],
        clock: Clock,
        deadline_s: float = DEADLINE_S,
        workers: int = WORKERS,
        again_s: float = AGAIN_S,
    ) -> None:
        self._reader = reader
        self._keys = keys
        self._clock = clock
        self._deadline_s = deadline_s
        self._workers = workers
        self._again_s = again_s

    async def hear(self, hosts: Iterable[str], *, done: Callable[[], None] = lambda: None) -> Heard:
        """Ask all of these hosts; `done` is told of each that was heard or given up."""
        heard = Heard()

        async def ask(host: str) -> None:
            try:
                heard.testimonies[host] = await self._ask(host)
            except HostUnreadError as error:
                heard.unheard[host] = error.message
                log.warning("host_not_heard", host=host, message=error.message)
            done()

        await for_each(sorted(set(hosts)), ask, workers=self._workers)
        return heard

    async def _ask(self, host: str) -> Testimony:
        reader = self._reader(host)
        if reader is None:
            raise HostUnreadError(f"it is not known where host {host} is reached: name it in the hosts file")
        for left in reversed(range(TRIES)):
            try:
                async with asyncio.timeout(self._deadline_s):
                    told = await read_store(host, reader)
                return judge(told, self._keys)
            except TimeoutError:
                problem = f"host {host} did not tell all that it holds within {self._deadline_s:.0f} s"
            except HostUnreadError as error:
                problem = error.message
            if left:
                await self._clock.sleep(self._again_s)
        raise HostUnreadError(problem)
