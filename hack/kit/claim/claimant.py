"""One process that claims addresses: with a view of its own, or as Services.

Started by `kit.claim.main`, which writes `claim N` and `back N` on its standard input, each answered by a line of JSON. N
claims are made one after the other; `back` gives all of them back and waits until the view holds N addresses again.
"""

import argparse
import asyncio
import json
import logging
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import structlog

from innkeeper.clock import Clock, SystemClock
from innkeeper.domain.names import address_name
from innkeeper.event_loop import EventLoop
from innkeeper.kube import resources
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.errors import AlreadyExistsError, ConflictError, ThrottledError
from innkeeper.kube.informer import Informer
from innkeeper.kube.resources import Resource
from innkeeper.kube.views import Named
from innkeeper.state.subset import Subset
from innkeeper.views.guest import Guest, GuestSpec, ImageRef, Interface
from innkeeper.views.meta import Meta
from innkeeper.workers.network import NetworkWorker
from innkeeper.workers.pool_choice import Refusals
from innkeeper.workers.reach import Reach

SERVICES = Resource("", "v1", "services", "Service", True, Named)
NAMESPACE = "default"
AGAIN_S = 0.05
SETTLED_WITHIN_S = 120.0


class CountingClient(Client):
    """A client that counts creations that somebody else was faster with."""

    conflicts = 0

    async def create(self, resource: Resource[Any], body: Any, **options: Any) -> Any:
        """Create an object."""
        try:
            return await super().create(resource, body, **options)
        except AlreadyExistsError:
            self.conflicts += 1
            raise


class Addresses:
    """Claims as the operator makes them."""

    def __init__(self, client: CountingClient, pool: str) -> None:
        clock = SystemClock()
        self._pool = pool
        self._subset = Subset()
        self._network = NetworkWorker(client, self._subset, clock)
        self._reach = Reach(self._subset)
        self._informers: list[Informer[Any]] = [
            self._informer(client, resources.IP_POOLS, clock),
            self._informer(client, resources.IP_ADDRESSES, clock),
            self._informer(client, resources.CLUSTERS, clock),
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def _informer(self, client: Client, kind: Resource[Any], clock: Clock) -> Informer[Any]:
        informer: Informer[Any] = Informer(client, kind, on_change=self._subset.apply, clock=clock)
        self._subset.attach(kind.view, informer.assume)
        return informer

    async def begin(self) -> None:
        """Learn everything."""
        self._tasks = [asyncio.create_task(informer.run()) for informer in self._informers]
        for informer in self._informers:
            await informer.synced.wait()

    async def claim(self) -> str | None:
        """Return an address for a new guest, or None where none was to be had."""
        guest_id = str(uuid.uuid4())
        guest = Guest(
            metadata=Meta(name=f"bench-{guest_id}", namespace=NAMESPACE, uid=guest_id),
            spec=GuestSpec(image=ImageRef(name="none"), interfaces=[Interface(pool=self._pool)]),
        )
        way = next(self._reach.ways(guest, Refusals()), None)
        if way is None:
            return None
        claimed = await self._network.claim(guest, way.wanted)
        return claimed[0].address if isinstance(claimed, list) else None

    async def give_back(self, address: str) -> None:
        """Free an address."""
        held = self._subset.claims.by_name.get(address_name(self._pool, address))
        if held is not None:
            await self._network.free(held)

    async def settle(self, count: int) -> None:
        """Wait until the view holds so many addresses of the pool.

        Raises:
            TimeoutError: it never did; another process may have broken.
        """
        async with asyncio.timeout(SETTLED_WITHIN_S):
            await self._holds(count)

    async def _holds(self, count: int) -> None:
        while self._subset.claims.count_of_pool(self._pool) != count:  # noqa: ASYNC110 - the view sets no event
            await asyncio.sleep(0.002)

    async def end(self) -> None:
        """Stop watching."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class ClusterIps:
    """Claims as the API server makes them for Services."""

    def __init__(self, client: CountingClient) -> None:
        self._client = client
        self._names: dict[str, str] = {}

    async def begin(self) -> None:
        """Nothing has to be learnt: the API server alone knows."""

    async def claim(self) -> str | None:
        """Return the name of a Service, which the API server gave an address."""
        name = f"s{uuid.uuid4()}"
        body = {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}}
        await self._client.create(SERVICES, body, namespace=NAMESPACE)
        return name

    async def give_back(self, name: str) -> None:
        """Delete a Service."""
        await self._client.delete(SERVICES, name, namespace=NAMESPACE)

    async def settle(self, count: int) -> None:
        """Wait for nothing: there is no view."""

    async def end(self) -> None:
        """Nothing runs."""


async def _run(options: argparse.Namespace) -> None:
    async with CountingClient(Credentials.load(options.kubeconfig)) as client:
        source = Addresses(client, options.pool) if options.pool else ClusterIps(client)
        await source.begin()
        _say({})
        while line := await asyncio.to_thread(sys.stdin.readline):
            word, number = line.split()
            if word == "claim":
                held = await _claim(source, client, int(number))
            else:
                await asyncio.gather(*(_give_back(source, each) for each in held))
                await source.settle(int(number))
                _say({})
        await source.end()


async def _give_back(source: Addresses | ClusterIps, held: str) -> None:
    """Give one claim back, as often as the API server asks for patience.

    After that it is written a second time by a view that may not have heard of the first: the next look knows.
    """
    while True:
        try:
            return await source.give_back(held)
        except ThrottledError as error:
            await asyncio.sleep(error.retry_after_s)
        except ConflictError:
            await asyncio.sleep(AGAIN_S)


async def _claim(source: Addresses | ClusterIps, client: CountingClient, number: int) -> list[str]:
    """Make some claims; tell what they were, when they were made, and what they cost."""
    conflicts, cpu = client.conflicts, time.process_time()
    begin, held = time.monotonic(), []
    for _ in range(number):
        try:
            address = await source.claim()
        except ThrottledError as error:
            await asyncio.sleep(error.retry_after_s)
            continue
        if address is not None:
            held.append(address)
    # This machine's monotonic clock is the same for all processes.
    _say(
        {
            "held": held,
            "begin": begin,
            "end": time.monotonic(),
            "conflicts": client.conflicts - conflicts,
            "cpu_s": time.process_time() - cpu,
        }
    )
    return held


def _say(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--pool", help="an IPPool; without one, Services are created")
    return parser.parse_args()


if __name__ == "__main__":
    # What is printed is read by another process.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with asyncio.Runner(loop_factory=EventLoop) as runner:  # as the operator does
        runner.run(_run(_options()))
