"""An informer that begins from a file: its watch catches up while objects are still being read."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from innkeeper.clock import SystemClock
from innkeeper.kube.answers import Listing, WatchEvent
from innkeeper.kube.client import Client
from innkeeper.kube.informer import Change, Informer
from innkeeper.kube.relisting import Way
from innkeeper.kube.resources import CONFIG_MAPS
from innkeeper.kube.views import ConfigMap
from innkeeper.views.meta import Meta
from tests.kit.fake_api import FakeApi
from tests.kit.waiting import eventually

FAR_S = 3600.0


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi(bookmark_s=FAR_S) as fake:
        yield fake


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[Client]:
    async with Client(api.credentials(), request_timeout_s=5) as found:
        yield found


def put(api: FakeApi, *names: str) -> None:
    for name in names:
        api.create(CONFIG_MAPS, {"metadata": {"name": name}}, namespace="default")


class QuickClock(SystemClock):
    """A clock on which pauses take a hundredth of their time."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 100)  # noqa: TID251 - pauses are to take time here, only less of it


def an_informer(client: Any, on_change: Callable[[Change[Any]], None] = lambda _: None) -> Informer[Any]:
    return Informer(client, CONFIG_MAPS, on_change=on_change, clock=QuickClock())


@asynccontextmanager
async def running(informer: Informer[Any]) -> AsyncIterator[None]:
    task = asyncio.create_task(informer.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def held(informer: Informer[Any]) -> set[str]:
    return {name for _, name in informer.objects}


async def synced(informer: Informer[Any]) -> None:
    async with asyncio.timeout(10):
        await informer.synced.wait()


async def known(api: FakeApi, client: Client) -> Listing[Any]:
    """Return what a file would hold; afterwards one object goes and another one comes."""
    put(api, "kept", "gone")
    found = await client.list(CONFIG_MAPS)
    api.delete(CONFIG_MAPS, "gone", namespace="default")
    put(api, "new")
    api.calls.clear()
    return found


async def test_what_the_watch_tells_waits_for_the_objects_of_the_file(api: FakeApi, client: Client) -> None:
    file = await known(api, client)
    informer = an_informer(client)
    informer.begin_at(file.resource_version, current=await client.version_of(CONFIG_MAPS))
    async with running(informer):
        await eventually(lambda: bool(api.called("watch *")))
        informer.fill(file.items[:1])
        assert not informer.synced.is_set(), "half a file is no view"
        informer.fill(file.items[1:])
        informer.filled()
        await synced(informer)
        assert held(informer) == {"kept", "new"}
    assert informer.starts == {Way.SNAPSHOT: 1}


async def test_a_watch_that_nothing_comes_from_is_not_caught_up_before_the_objects_are_there(
    api: FakeApi, client: Client
) -> None:
    put(api, "kept")
    file = await client.list(CONFIG_MAPS)
    informer = an_informer(client)
    informer.begin_at(file.resource_version, current=int(file.resource_version))
    async with running(informer):
        # As long as it is quiet for where the objects are there.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await informer.synced.wait()
        informer.fill(file.items)
        informer.filled()
        await synced(informer)
        assert held(informer) == {"kept"}


async def test_objects_that_cannot_be_read_are_listed(api: FakeApi, client: Client) -> None:
    file = await known(api, client)
    informer = an_informer(client)
    informer.begin_at(file.resource_version)
    async with running(informer):
        await eventually(lambda: bool(api.called("watch *")))
        informer.fill(file.items)
        informer.unfilled()
        await synced(informer)
        assert held(informer) == {"kept", "new"}
    assert informer.starts[Way.METADATA] + informer.starts[Way.LIST] == 1


async def test_a_version_that_was_forgotten_meanwhile_is_learnt_anew_from_the_objects_on(
    api: FakeApi, client: Client
) -> None:
    file = await known(api, client)
    api.store.forget_history()
    informer = an_informer(client)
    informer.begin_at(file.resource_version)
    async with running(informer):
        await eventually(lambda: not informer.resource_version)
        # What lists anew before the file was read reads all of it again.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await informer.synced.wait()
        assert api.called("list *") == []
        informer.fill(file.items)
        informer.filled()
        await synced(informer)
        assert held(informer) == {"kept", "new"}
    assert informer.starts == {Way.SNAPSHOT: 1, Way.METADATA: 1}


def event(name: str, version: int) -> WatchEvent[ConfigMap]:
    view = ConfigMap(metadata=Meta(name=name, namespace="default", uid=name, resource_version=str(version)))
    return WatchEvent("ADDED", str(version), view)


class Scripted:
    """A server's watch: what each look at it finds, None where nothing came in time; then it stays silent for ever."""

    def __init__(self, *looks: Sequence[WatchEvent[Any]] | None) -> None:
        self._looks = list(looks)
        self.patience: list[float] = []

    async def batch(self, *, within_s: float) -> Sequence[WatchEvent[Any]] | None:
        self.patience.append(within_s)
        if self._looks:
            return self._looks.pop(0)
        await asyncio.Event().wait()
        return None

    @asynccontextmanager
    async def watch(self, *_: Any, **__: Any) -> AsyncIterator["Scripted"]:
        yield self


async def test_what_came_while_the_objects_kept_the_loop_busy_is_taken_first() -> None:
    """Half a second passed without anything read, since nothing was looked at: it lies in the socket."""
    server, told_before = Scripted(None, [event("late", 6)], None, None), []
    informer = an_informer(server, lambda _: told_before.append(not informer.synced.is_set()))
    informer.resume([], "5")
    async with running(informer):
        await synced(informer)
    assert told_before == [True], "who decides by then knows of it"


async def test_a_watch_that_never_rests_has_caught_up_with_the_version_that_was_asked_for() -> None:
    """Where something comes several times a second, no quiet ever tells it."""
    server = Scripted([event("a", 6)], [event("b", 7)], [event("c", 9)])
    informer = an_informer(server)
    informer.begin_at("5", current=8)
    informer.filled()
    async with running(informer):
        await synced(informer)
        assert held(informer) == {"a", "b", "c"}


async def test_a_version_below_the_one_that_was_asked_for_proves_nothing() -> None:
    server = Scripted([event("a", 6)], [event("b", 7)])
    informer = an_informer(server)
    informer.begin_at("5", current=8)
    informer.filled()
    async with running(informer):
        await eventually(lambda: held(informer) == {"a", "b"} and len(server.patience) > 2)
        assert not informer.synced.is_set()
