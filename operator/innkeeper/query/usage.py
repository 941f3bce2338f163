"""How much processor and memory guests take, asked of their hosts when somebody asks: in part, where hosts are silent.

A host is asked once at a time and at most every few seconds, with a deadline; what it said, or that it said nothing, is
kept no longer. What a host says counts only for guests that are bound to it. How old each figure is stands beside it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from innkeeper.clock import Clock
from innkeeper.domain.host_usage import GuestUsage, HostUsage
from innkeeper.domain.quantity import Amounts
from innkeeper.hosts.ports import HostUnreadError
from innkeeper.query import documents
from innkeeper.query.answers import in_json
from innkeeper.query.authorise import Authorise
from innkeeper.query.refusal import refusal
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest

KEEP_S = 5.0
HOST_DEADLINE_S = 10.0
LIST_DEADLINE_S = 20.0
HOSTS_AT_ONCE = 32
MOST_HOSTS = 200  # of one answer; the next page goes on behind the last of them

UsageOf = Callable[[str], Awaitable[HostUsage]]  # by host; raises HostUnreadError


class Named(Protocol):
    """Returns the guest that a request names, or raises what its sender is told."""

    async def __call__(self, request: web.Request, resource: str, *, subresource: str = "") -> Guest:
        """Return it."""
        ...


@dataclass(frozen=True)
class _Heard:
    """One host's answer, and when it came on the monotonic clock."""

    at: float
    guests: dict[str, GuestUsage]
    window_s: float


@dataclass(frozen=True)
class _Unheard:
    """That a host could not be asked, when, and why."""

    at: float
    message: str


class UsageRoutes:
    """The endpoints."""

    def __init__(
        self, subset: Subset, usage: UsageOf, *, authorise: Authorise, named: Named, clock: Clock
    ) -> None:
        self._subset = subset
        self._usage = usage
        self._authorise = authorise
        self._named = named
        self._clock = clock
        self._kept: dict[str, _Heard | _Unheard] = {}
        self._asked: dict[str, asyncio.Task[_Heard | _Unheard]] = {}
        self._free = asyncio.Semaphore(HOSTS_AT_ONCE)

    def add_to(self, router: web.UrlDispatcher, base: str) -> None:
        """Add the endpoints below `base`."""
        router.add_get(base + "/namespaces/{namespace}/guestviews/{name}/usage", self._show)
        router.add_get(base + "/namespaces/{namespace}/guestusages", self._list)
        router.add_get(base + "/guestusages", self._list)

    async def _show(self, request: web.Request) -> web.Response:
        guest = await self._named(request, "guestviews", subresource="usage")
        host = guest.status.host
        if host is None:
            raise refusal(409, "Conflict", "the guest is on no host yet, and so takes nothing")
        try:
            heard = await self._of(host)
        except HostUnreadError as error:
            raise refusal(503, "ServiceUnavailable", error.message) from error
        return in_json(self._document(guest, heard))

    async def _list(self, request: web.Request) -> web.Response:
        namespace = request.match_info.get("namespace", "")
        await self._authorise(request, "list", "guestusages", namespace=namespace)
        guests = self._by_host(namespace)
        after = request.query.get("continue", "")
        hosts = sorted(host for host in guests if host > after)
        asked = hosts[:MOST_HOSTS]
        found = await self._all(asked)
        items, missing = [], []
        for host in asked:
            heard = found[host]
            if isinstance(heard, str):
                missing.append({"host": host, "guests": len(guests[host]), "message": heard})
            else:
                items += [self._document(each, heard) for each in guests[host]]
        meta = {"continue": asked[-1]} if len(hosts) > len(asked) else {}
        kind = {"kind": "GuestUsageList", "apiVersion": documents.API_VERSION}
        return in_json({**kind, "metadata": meta, "items": items, "missing": missing})

    def _by_host(self, namespace: str) -> dict[str, list[Guest]]:
        found: defaultdict[str, list[Guest]] = defaultdict(list)
        known = self._subset.guests_of_namespace(namespace) if namespace else self._subset.guests.values()
        for guest in known:
            host = guest.status.host
            if host is not None:
                found[host].append(guest)
        return found

    async def _all(self, hosts: Iterable[str]) -> dict[str, _Heard | str]:
        """Return what each host said, or why nothing was heard of it in time."""
        tasks = {host: asyncio.create_task(self._of(host)) for host in hosts}
        if tasks:
            await asyncio.wait(tasks.values(), timeout=LIST_DEADLINE_S)
        return {host: _outcome(host, task) for host, task in tasks.items()}

    async def _of(self, host: str) -> _Heard:
        """Return what a host says; who asks while it is being asked waits for the same answer.

        Raises:
            HostUnreadError: it cannot be had now.
        """
        found = self._kept.get(host)
        if found is None or self._is_old(found):
            task = self._asked.get(host)
            if task is None:
                task = self._asked[host] = asyncio.create_task(self._ask(host))
                task.add_done_callback(lambda done: self._over(host, done))
            found = await asyncio.shield(task)
        if isinstance(found, _Unheard):
            raise HostUnreadError(found.message)
        return found

    def _over(self, host: str, done: "asyncio.Task[_Heard | _Unheard]") -> None:
        self._asked.pop(host, None)
        self._kept.pop(host, None)
        if not done.cancelled() and done.exception() is None:
            self._kept[host] = done.result()
        # The oldest stand first: what will not be given again is not kept.
        while self._kept and self._is_old(self._kept[oldest := next(iter(self._kept))]):
            del self._kept[oldest]

    def _is_old(self, kept: _Heard | _Unheard) -> bool:
        return self._clock.monotonic() - kept.at >= KEEP_S

    async def _ask(self, host: str) -> _Heard | _Unheard:
        async with self._free:
            try:
                async with asyncio.timeout(HOST_DEADLINE_S):
                    told = await self._usage(host)
            except TimeoutError:
                message = f"host {host} did not answer within {HOST_DEADLINE_S:.0f} s"
                return _Unheard(self._clock.monotonic(), message)
            except HostUnreadError as error:
                return _Unheard(self._clock.monotonic(), error.message)
        guests = {each.guest_id: each for each in told.guests}
        return _Heard(self._clock.monotonic(), guests, told.window_s)

    def _document(self, guest: Guest, heard: _Heard) -> documents.Document:
        guest_id = guest_id_of(guest)
        found = heard.guests.get(guest_id)
        promised = Amounts.of(guest.status.resources)
        return {
            "kind": "GuestUsage",
            "apiVersion": documents.API_VERSION,
            "metadata": {"name": guest.metadata.name, "namespace": guest.metadata.namespace},
            "status": {
                "id": guest_id,
                "host": guest.status.host,
                "running": found is not None,
                "cpuMillis": found.cpu_millis if found else 0,
                "memoryBytes": found.memory_bytes if found else 0,
                "promised": {"cpuMillis": promised.cpu_millis, "memoryBytes": promised.memory_bytes},
                "windowSeconds": heard.window_s,
                "ageSeconds": round(self._clock.monotonic() - heard.at, 3),
            },
        }


def _outcome(host: str, task: "asyncio.Task[_Heard]") -> "_Heard | str":
    if not task.done():
        task.cancel()
        return f"host {host} did not answer within {LIST_DEADLINE_S:.0f} s"
    error = task.exception()
    if isinstance(error, HostUnreadError):
        return error.message
    return task.result()
