"""Hears every host: a few at a time, each with a deadline and several tries. It changes nothing anywhere.

What a host says is read once as it is, and judged by its signatures at once, so that what does not count is not kept.
Hosts may hold very many tombstones: they are judged a few at a time, and other work goes on between.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

import structlog

from innkeeper.clock import Clock
from innkeeper.domain.host_store import Events, GuestEntry, Snapshot, TombstoneEntry
from innkeeper.domain.rebuild.testimony import Judging, Testimony
from innkeeper.hosts.ports import HostReader, HostUnreadError
from innkeeper.hosts.reading import whole
from innkeeper.workers.rebuild.pool import for_each

log = structlog.get_logger(__name__)

WORKERS = 32
DEADLINE_S = 60.0  # for one answer of a host
MOST_S = 1800.0  # for all that one host holds: one that only ever goes on telling must not hold up the others for ever
SLICE = 10  # entries that are judged in one turn of the loop
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
                async with asyncio.timeout(MOST_S):
                    return await self._hear(host, reader)
            except TimeoutError:
                minutes = MOST_S / 60
                raise HostUnreadError(
                    f"host {host} did not come to an end within {minutes:.0f} min"
                ) from None
            except HostUnreadError as error:
                problem = error.message
            if left:
                await self._clock.sleep(self._again_s)
        raise HostUnreadError(problem)

    async def _hear(self, host: str, reader: HostReader) -> Testimony:
        judging = Judging(host, self._keys)
        async with aclosing(whole(host, reader)) as answers:
            while (answer := await self._next(host, answers)) is not None:
                if isinstance(answer, Snapshot) and judging.settings is None:
                    judging.settings = answer.settings
                await _judge(answer, judging)
        return judging.testimony()

    async def _next(
        self, host: str, answers: AsyncGenerator[Snapshot | Events, None]
    ) -> Snapshot | Events | None:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await anext(answers, None)
        except TimeoutError:
            message = f"host {host} did not answer within {self._deadline_s:.0f} s"
            raise HostUnreadError(message) from None


async def _judge(answer: Snapshot | Events, judging: Judging) -> None:
    """Have an answer's entries judged, the newest state of each guest that it names."""
    if isinstance(answer, Events):
        for change in answer.changes:
            judging.drop(change.guest_id)
    entries: list[GuestEntry | TombstoneEntry] = [*answer.guests, *answer.tombstones]
    for number, entry in enumerate(entries, start=1):
        judging.take(entry)
        if number % SLICE == 0:
            await asyncio.sleep(0)
