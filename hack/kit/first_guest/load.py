"""Applies guests at a steady rate and measures when the Assignment of each appears.

The clock runs from the moment that the request is sent to the Assignment's ADDED event on a watch of all hosts'
namespaces, both in this process. Guests are applied when their time has come, whether the ones before are through or not.
The last line of output is JSON: the milliseconds of each guest, and how late requests were sent.

Usage: python -m kit.first_guest.load KUBECONFIG GUESTS RATE
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import ASSIGNMENTS, GUESTS
from innkeeper.views.meta import Condition
from kit.first_guest import objects

DEADLINE_S = 120.0
_LOOK_AGAIN_S = 1.0


class Load:
    """Some guests, from their requests to their running."""

    def __init__(self, client: Client, *, guests: int, rate: float) -> None:
        self._client = client
        self._names = [f"guest-{number:05}" for number in range(guests)]
        self._rate = rate
        self._sent: dict[str, float] = {}
        self._seen: dict[str, float] = {}
        self._late_s = 0.0
        self._all_seen = asyncio.Event()

    async def run(self) -> dict[str, object]:
        """Apply, wait, and return the figures."""
        begun = await self._client.list(ASSIGNMENTS)
        watching = asyncio.create_task(self._watch(begun.resource_version))
        try:
            async with asyncio.timeout(DEADLINE_S + len(self._names) / self._rate):
                await self._apply_all()
                await self._all_seen.wait()
                ready_s = await self._until_ready()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        took = {name: (self._seen[name] - sent) * 1000 for name, sent in self._sent.items()}
        return {
            "assignment_ms": [round(took[name], 2) for name in self._names],
            "late_ms": round(self._late_s * 1000, 2),
            "all_ready_after_s": round(ready_s, 1),
        }

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

    async def _watch(self, version: str) -> None:
        async for event in self._client.watch(ASSIGNMENTS, resource_version=version, timeout_s=1800):
            if event.type == "ADDED" and event.object is not None:
                self._seen.setdefault(event.object.spec.guest.name, time.perf_counter())
                if len(self._seen) == len(self._names):
                    self._all_seen.set()

    async def _until_ready(self) -> float:
        """Wait until every guest runs; return the seconds since the first request."""
        while True:
            listed = await self._client.list(GUESTS)
            waiting = [each for each in listed.items if not _is_ready(each.status.conditions)]
            if not waiting:
                return time.perf_counter() - self._sent[self._names[0]]
            await asyncio.sleep(_LOOK_AGAIN_S)


def _is_ready(conditions: Sequence[Condition]) -> bool:
    return any(each.type == "Ready" and each.status == "True" for each in conditions)


async def main() -> None:
    """Read the command line and print the figures."""
    kubeconfig, guests, rate = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    async with Client(Credentials.from_kubeconfig(kubeconfig), user_agent="innkeeper-bench") as client:
        figures = await Load(client, guests=guests, rate=rate).run()
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
