"""Applies guests at a steady rate and measures when the Assignment of each appears, and when the guest is Ready.

The clock runs from the moment that the request is sent to an event on a watch: the Assignment's ADDED, and the first that
shows the Guest Ready, both in this process. Guests are applied when their time has come, whether the ones before are
through or not. The last line of output is JSON: the milliseconds of each guest, and how late requests were sent.

Usage: python -m kit.first_guest.load KUBECONFIG GUESTS RATE [PREFIX]
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TypeVar

import uvloop

from innkeeper.kube.answers import WatchEvent
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import ASSIGNMENTS, GUESTS, Resource
from innkeeper.views.meta import Condition, View
from kit.first_guest import objects

V = TypeVar("V", bound=View)

DEADLINE_S = 120.0


class Load:
    """Some guests, from their requests to their running."""

    def __init__(self, client: Client, *, guests: int, rate: float, prefix: str) -> None:
        self._client = client
        self._names = [f"{prefix}-{number:05}" for number in range(guests)]
        self._rate = rate
        self._sent: dict[str, float] = {}
        self._ordered: dict[str, float] = {}
        self._ready: dict[str, float] = {}
        self._late_s = 0.0
        self._all_ready = asyncio.Event()

    async def run(self) -> dict[str, object]:
        """Apply, wait, and return the figures."""
        orders, guests = await self._client.list(ASSIGNMENTS), await self._client.list(GUESTS)
        watching = asyncio.gather(
            self._watch_orders(orders.resource_version), self._watch_guests(guests.resource_version)
        )
        try:
            async with asyncio.timeout(DEADLINE_S + len(self._names) / self._rate):
                await self._apply_all()
                await self._all_ready.wait()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        return {
            "assignment_ms": self._took_ms(self._ordered),
            "ready_ms": self._took_ms(self._ready),
            "late_ms": round(self._late_s * 1000, 2),
        }

    def _took_ms(self, seen: dict[str, float]) -> list[float]:
        return [round((seen[name] - self._sent[name]) * 1000, 2) for name in self._names]

    async def _apply_all(self) -> None:
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number, name in enumerate(self._names):
                due = begun + number / self._rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                self._late_s = max(self._late_s, time.perf_counter() - due)
                group.create_task(self._apply(name))

    async def _apply(self, name: str) -> None:
        self._sent[name] = time.perf_counter()
        await self._client.create(GUESTS, objects.guest(name), namespace=objects.NAMESPACE)

    async def _events(self, resource: Resource[V], version: str) -> AsyncIterator[WatchEvent[V]]:
        async with self._client.watch(resource, resource_version=version, timeout_s=1800) as stream:
            async for event in stream.each():
                yield event

    async def _watch_orders(self, version: str) -> None:
        async for event in self._events(ASSIGNMENTS, version):
            if event.type == "ADDED" and event.object is not None:
                self._ordered.setdefault(event.object.spec.guest.name, time.perf_counter())

    async def _watch_guests(self, version: str) -> None:
        async for event in self._events(GUESTS, version):
            guest = event.object
            if guest is not None and guest.metadata.name in self._sent and _is_ready(guest.status.conditions):
                self._ready.setdefault(guest.metadata.name, time.perf_counter())
                if len(self._ready) == len(self._names):
                    self._all_ready.set()


def _is_ready(conditions: Sequence[Condition]) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in conditions)


async def main() -> None:
    """Read the command line and print the figures."""
    kubeconfig, guests, rate = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    prefix = sys.argv[4] if len(sys.argv) > 4 else "guest"  # noqa: PLR2004 - the one optional word
    async with Client(Credentials.from_kubeconfig(kubeconfig), user_agent="innkeeper-bench") as client:
        figures = await Load(client, guests=guests, rate=rate, prefix=prefix).run()
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
