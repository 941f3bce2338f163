"""A wanted status is never lost and never written at full speed, whatever the API server and the renderer do."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from innkeeper.kube.client import Client
from innkeeper.kube.informer import Key
from innkeeper.kube.resources import IP_POOLS
from innkeeper.kube.status_writer import StatusWriter
from innkeeper.views.network import IPPool
from tests.kit.clock import ManualClock
from tests.kit.fake_api import Document, FakeApi
from tests.kit.waiting import eventually

SPEC = {"cidr": "10.0.0.0/24"}


class Bench:
    """A writer with pools that a test changes, on a clock that it moves."""

    def __init__(self, api: FakeApi, client: Client, *, workers: int) -> None:
        self.api = api
        self.client = client
        self.clock = ManualClock()
        self.wanted: dict[str, Mapping[str, Any] | Exception] = {}
        self.known: dict[Key, IPPool] = {}
        self.writer = StatusWriter(
            client,
            IP_POOLS,
            clock=self.clock,
            render=self._render,
            read=self.known.get,
            written=self._written,
            workers=workers,
        )

    def _render(self, key: Key) -> Mapping[str, Any] | None:
        wanted = self.wanted.get(key[1])
        if isinstance(wanted, Exception):
            raise wanted
        return wanted

    def _written(self, pool: IPPool) -> None:
        self.known[("", pool.metadata.name)] = pool

    async def know(self, name: str) -> None:
        """Read a pool anew, as an informer would bring it."""
        self._written(await self.client.get(IP_POOLS, name))

    def used(self, name: str) -> int | None:
        """Return a counter that the API server holds."""
        held: Document | None = self.api.get(IP_POOLS, name)
        found: int | None = held["status"].get("used") if held else None
        return found

    def writes(self) -> int:
        """Return how many statuses were written."""
        return len(self.api.writes("patch ippools/status *"))

    async def pass_time(self, seconds: float) -> None:
        """Move the clock once everybody sleeps."""
        await eventually(lambda: self.clock.sleepers)
        self.clock.advance(seconds)


@pytest.fixture
def workers() -> int:
    return 8


@pytest.fixture
async def bench(workers: int) -> AsyncIterator[Bench]:
    async with FakeApi() as api, Client(api.credentials(), request_timeout_s=5) as client:
        found = Bench(api, client, workers=workers)
        for name in ("a", "b"):
            api.create(IP_POOLS, {"metadata": {"name": name}, "spec": SPEC})
            await found.know(name)
        running = asyncio.create_task(found.writer.run())
        yield found
        assert not running.done(), "a writer never ends by itself"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_urgent_status_is_written_at_once_and_any_other_within_its_delay(bench: Bench) -> None:
    bench.wanted = {"a": {"used": 1}, "b": {"used": 1}}
    bench.writer.touch(("", "a"))
    bench.writer.touch(("", "b"), urgent=True)
    await eventually(lambda: bench.used("b") == 1)
    await bench.pass_time(1.9)
    assert bench.used("a") == 0 or bench.used("a") is None
    bench.wanted["a"] = {"used": 2}
    bench.writer.touch(("", "a"))  # a later wish does not move the write away
    await bench.pass_time(0.1)
    await eventually(lambda: bench.used("a") == 2)
    assert bench.writes() == 2


async def test_an_urgent_wish_takes_the_waiting_one_along(bench: Bench) -> None:
    bench.wanted = {"a": {"used": 1}}
    bench.writer.touch(("", "a"))
    bench.writer.touch(("", "a"), urgent=True)
    await eventually(lambda: bench.used("a") == 1)
    bench.clock.advance(60)
    bench.writer.touch(("", "b"), urgent=True)
    await eventually(lambda: bench.clock.sleepers == 0)
    assert bench.writes() == 1


@pytest.mark.parametrize("workers", [1])  # so who sleeps is who wrote, and has heard of the refusal
@pytest.mark.parametrize("status", [401, 403, 409, 422, 429, 500, 503])
async def test_a_refused_status_is_tried_again_with_growing_pauses(bench: Bench, status: int) -> None:
    fault = bench.api.faults.fail("patch ippools/status a", status=status, times=4)
    bench.wanted = {"a": {"used": 7}}
    bench.writer.touch(("", "a"), urgent=True)
    pauses = []
    while bench.used("a") != 7:
        await eventually(lambda: bench.clock.sleepers or bench.used("a") == 7)
        if bench.clock.sleepers:
            met = len(fault.met)
            pauses.append(bench.clock.next_s)
            bench.clock.advance(bench.clock.next_s)
            await eventually(lambda met=met: len(fault.met) > met or bench.used("a") == 7)  # type: ignore[misc] # mypy infers no lambda with defaults
    assert len(pauses) == 4
    assert pauses == sorted(pauses)
    assert pauses[-1] >= 1
    assert bench.writes() == 1


async def test_a_server_s_wish_for_a_pause_is_obeyed(bench: Bench) -> None:
    bench.api.faults.fail("patch ippools/status a", status=429, retry_after_s=20)
    bench.wanted = {"a": {"used": 7}}
    bench.writer.touch(("", "a"), urgent=True)
    await eventually(lambda: bench.clock.sleepers)
    assert bench.clock.next_s == 20


@pytest.mark.parametrize("after", [False, True])
async def test_a_cut_connection_loses_no_status(bench: Bench, *, after: bool) -> None:
    bench.api.faults.cut("patch ippools/status a", after=after)
    bench.wanted = {"a": {"used": 7}}
    bench.writer.touch(("", "a"), urgent=True)
    await eventually(lambda: bench.clock.sleepers)
    await bench.know("a")
    bench.clock.advance(1)
    await eventually(lambda: bench.used("a") == 7)
    assert len(bench.api.called("patch ippools/status a")) == (1 if after else 2)


async def test_the_newest_wish_counts_when_a_write_is_under_way(bench: Bench) -> None:
    fault = bench.api.faults.hold("patch ippools/status a")
    bench.wanted = {"a": {"used": 1}}
    bench.writer.touch(("", "a"), urgent=True)
    await eventually(lambda: fault.met)
    for used in range(2, 10):
        bench.wanted["a"] = {"used": used}
        bench.writer.touch(("", "a"), urgent=True)
    assert fault.gate is not None
    fault.gate.set()
    await eventually(lambda: bench.used("a") == 9)
    assert bench.writes() == 2


async def test_a_renderer_that_fails_harms_one_object_only(bench: Bench) -> None:
    bench.wanted = {"a": LookupError("a bug"), "b": {"used": 1}}
    bench.writer.touch(("", "a"), urgent=True)
    bench.writer.touch(("", "b"), urgent=True)
    await eventually(lambda: bench.used("b") == 1)
    bench.wanted["a"] = {"used": 1}
    await bench.pass_time(1)
    await eventually(lambda: bench.used("a") == 1)


async def test_an_object_that_is_gone_is_let_go(bench: Bench) -> None:
    bench.api.delete(IP_POOLS, "a")
    bench.wanted = {"a": {"used": 1}, "b": {"used": 1}}
    bench.writer.touch(("", "a"), urgent=True)  # we do not know yet
    await eventually(lambda: bench.api.called("patch ippools/status a"))
    bench.known.pop(("", "a"))
    bench.writer.touch(("", "a"), urgent=True)  # now we do
    bench.writer.touch(("", "b"), urgent=True)
    await eventually(lambda: bench.used("b") == 1)
    assert len(bench.api.called("patch ippools/status a")) == 1
    assert bench.clock.sleepers == 0, "it is tried again though it is gone"


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"used": 0}, False),
        ({"used": None}, False),
        ({"observedGeneration": -1, "conditions": []}, False),
        ({"used": 1}, True),
        ({"conditions": [{"type": "Ready", "status": "True"}]}, True),
        ({"fieldOfALaterVersion": 1}, True),
    ],
)
async def test_only_what_differs_is_written(bench: Bench, change: dict[str, Any], *, differs: bool) -> None:
    bench.wanted = {"a": change}
    await bench.writer.write(("", "a"))
    assert len(bench.api.called("patch ippools/status a")) == int(differs)
