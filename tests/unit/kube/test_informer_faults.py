"""What an informer lives through: cut, silent and forgotten watches, servers that stop, refuse, or go back in time."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from innkeeper.clock import SystemClock
from innkeeper.kube import relisting
from innkeeper.kube.client import Client
from innkeeper.kube.informer import Change, Informer
from innkeeper.kube.relisting import Way
from innkeeper.kube.resources import CONFIG_MAPS, IP_ADDRESSES, IP_POOLS
from tests.kit.clock import ManualClock
from tests.kit.fake_api import FakeApi
from tests.kit.informing import informing
from tests.kit.waiting import eventually


class QuickClock(SystemClock):
    """A clock on which waiting takes a hundredth of the time."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        """Wait for a moment, and keep how long it was to be."""
        self.slept.append(seconds)
        await asyncio.sleep(seconds / 100)  # noqa: TID251 - back-offs are to take time here, only less of it


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi(bookmark_s=0.05) as fake:
        yield fake


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[Client]:
    async with Client(api.credentials(), request_timeout_s=5) as found:
        yield found


def put(api: FakeApi, *names: str, **data: str) -> None:
    for name in names:
        api.create(CONFIG_MAPS, {"metadata": {"name": name}, "data": data}, namespace="default")


def held(informer: Informer[Any]) -> set[str]:
    return {name for _, name in informer.objects}


def dropped(api: FakeApi) -> bool:
    api.faults.drop_watch()
    return True


async def watches(api: FakeApi, more_than: int) -> None:
    await eventually(lambda: len(api.called("watch *")) > more_than)


async def test_a_cut_watch_goes_on_where_it_was(api: FakeApi, client: Client) -> None:
    async with informing(client, CONFIG_MAPS, clock=QuickClock()) as (informer, told):
        put(api, "a")
        await eventually(lambda: held(informer) == {"a"})
        api.faults.drop_watch()
        put(api, "b")
        api.delete(CONFIG_MAPS, "a", namespace="default")
        await eventually(lambda: held(informer) == {"b"})
        assert told.names() == ["+a", "+b", "-a"]
        assert dict(informer.starts) == {Way.LIST: 1}, "a cut watch needs no new list"


async def test_a_forgotten_version_leads_to_a_list_that_computes_deletions(
    api: FakeApi, client: Client
) -> None:
    put(api, "kept", "changed", "deleted", "made-anew")
    async with informing(client, CONFIG_MAPS, clock=QuickClock()) as (informer, told):
        api.faults.fail("watch *", status=503, times=3)
        api.faults.drop_watch()
        await eventually(lambda: len(api.called("watch *")) > 1)
        api.patch(CONFIG_MAPS, "changed", {"data": {"x": "1"}}, namespace="default")
        api.delete(CONFIG_MAPS, "deleted", namespace="default")
        api.delete(CONFIG_MAPS, "made-anew", namespace="default")
        put(api, "made-anew", "new")
        api.store.forget_history()
        await eventually(lambda: held(informer) == {"kept", "changed", "made-anew", "new"})
        assert sorted(told.names()[4:]) == ["+new", "-deleted", "~changed", "~made-anew"]
        assert informer.objects[("default", "changed")].data == {"x": "1"}
        assert informer.starts == {Way.LIST: 1, Way.METADATA: 1}
        assert sorted(each.name for each in api.called("get *")) == ["changed", "made-anew", "new"]


async def test_where_much_changed_one_whole_list_is_made(api: FakeApi, client: Client) -> None:
    put(api, "a")
    async with informing(client, CONFIG_MAPS, clock=QuickClock()) as (informer, _):
        await api.down()
        put(api, *(f"new-{number}" for number in range(relisting.MOST_SINGLE + 1)))
        api.store.forget_history()
        await api.up()
        await eventually(lambda: len(held(informer)) == relisting.MOST_SINGLE + 2)
        assert informer.starts == {Way.LIST: 2}
        assert api.called("get *") == []


async def test_it_begins_with_what_was_known_and_is_synced_when_the_watch_caught_up(
    api: FakeApi, client: Client
) -> None:
    put(api, "kept", "changed", "deleted")
    known = await client.list(CONFIG_MAPS)
    api.patch(CONFIG_MAPS, "changed", {"data": {"x": "1"}}, namespace="default")
    api.delete(CONFIG_MAPS, "deleted", namespace="default")
    api.calls.clear()
    informer: Informer[Any] = Informer(client, CONFIG_MAPS, on_change=lambda _: None, clock=QuickClock())
    informer.resume(known.items, known.resource_version)
    assert not informer.synced.is_set(), "nobody may decide on what was known yesterday"
    running = asyncio.create_task(informer.run())
    async with asyncio.timeout(10):
        await informer.synced.wait()
    assert held(informer) == {"kept", "changed"}
    assert informer.objects[("default", "changed")].data == {"x": "1"}
    assert (api.called("list *"), informer.starts) == ([], {Way.SNAPSHOT: 1})
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_was_known_too_long_ago_leads_to_metadata(api: FakeApi, client: Client) -> None:
    put(api, "kept", "deleted")
    known = await client.list(CONFIG_MAPS)
    api.delete(CONFIG_MAPS, "deleted", namespace="default")
    api.store.forget_history()
    informer: Informer[Any] = Informer(client, CONFIG_MAPS, on_change=lambda _: None, clock=QuickClock())
    informer.resume(known.items, known.resource_version)
    running = asyncio.create_task(informer.run())
    async with asyncio.timeout(10):
        await informer.synced.wait()
    assert held(informer) == {"kept"}
    assert informer.starts == {Way.SNAPSHOT: 1, Way.METADATA: 1}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_an_object_made_anew_is_told_with_both_uids(api: FakeApi, client: Client) -> None:
    put(api, "a")
    async with informing(client, CONFIG_MAPS, clock=QuickClock()) as (_, told):
        await api.down()
        api.delete(CONFIG_MAPS, "a", namespace="default")
        put(api, "a")
        api.store.forget_history()
        await api.up()
        await eventually(lambda: told.names() == ["+a", "~a"])
        change = told.changes[-1]
        assert change.old is not None
        assert change.new is not None
        assert change.old.metadata.uid != change.new.metadata.uid


async def test_a_server_that_stops_is_found_again(api: FakeApi, client: Client) -> None:
    put(api, "a")
    clock = QuickClock()
    async with informing(client, CONFIG_MAPS, clock=clock) as (informer, _):
        await api.down()
        await eventually(lambda: len(clock.slept) >= 8)
        assert held(informer) == {"a"}, "absence of the server is no absence of objects"
        assert not informer.watching
        assert max(clock.slept) <= 30
        assert clock.slept[-1] > 10, "the pauses do not grow"
        put(api, "b")
        await api.up()
        await eventually(lambda: held(informer) == {"a", "b"})
        await eventually(lambda: informer.watching)


async def test_a_silent_watch_is_taken_for_dead(api: FakeApi, client: Client) -> None:
    async with informing(client, CONFIG_MAPS, clock=QuickClock(), silence_timeout_s=0.3) as (informer, _):
        await watches(api, 0)
        api.faults.silent = True
        put(api, "a")
        await watches(api, 2)
        assert held(informer) == {"a"}, "after two silent watches it lists"
        api.faults.silent = False
        put(api, "b")
        await eventually(lambda: held(informer) == {"a", "b"})


async def test_a_watch_of_a_kind_that_nobody_writes_lives_on(api: FakeApi, client: Client) -> None:
    """An API server's cache of such a kind stands still until somebody lists it, and so no bookmark comes."""
    api.faults.cache_rests = True
    async with informing(client, CONFIG_MAPS, clock=QuickClock(), silence_timeout_s=4) as (informer, _):
        api.create(IP_POOLS, {"metadata": {"name": "other-kind"}, "spec": {"cidr": "10.0.0.0/24"}})
        await eventually(lambda: int(informer.resource_version) == api.store.version)
        assert len(api.called("watch *")) == 1, "it was taken for dead"
        assert len(api.called("list *")) == 2, "one list at the start, and one question"


async def test_bookmarks_keep_it_young(api: FakeApi, client: Client) -> None:
    clock = ManualClock()
    async with informing(client, CONFIG_MAPS, clock=clock) as (informer, _):
        before = informer.resource_version
        clock.advance(1000)
        await eventually(lambda: informer.age_s() < 1)
        put(api, "a")
        api.create(IP_POOLS, {"metadata": {"name": "other-kind"}, "spec": {"cidr": "10.0.0.0/24"}})
        await eventually(lambda: int(informer.resource_version) == api.store.version)
        assert int(informer.resource_version) > int(before) + 1, "it did not take the bookmark's version"


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
async def test_a_refusal_of_list_or_watch_is_tried_again(api: FakeApi, client: Client, status: int) -> None:
    put(api, "a")
    clock = QuickClock()
    api.faults.fail("list *", status=status, times=2, retry_after_s=9)
    api.faults.fail("watch *", status=status, times=2, retry_after_s=9)
    async with informing(client, CONFIG_MAPS, clock=clock) as (informer, _):
        put(api, "b")
        await eventually(lambda: held(informer) == {"a", "b"})
        await eventually(lambda: len([each for each in clock.slept if each > 0]) >= 4)
    if status == 429:
        assert min(clock.slept[:4]) >= 9, "the server's own wish was not obeyed"


async def test_pages_that_expire_are_read_anew(api: FakeApi, client: Client) -> None:
    put(api, *(f"c{number:04}" for number in range(1200)))
    api.faults.expire_pages(1)
    async with informing(client, CONFIG_MAPS, clock=QuickClock()) as (informer, told):
        assert len(informer.objects) == 1200
        assert len(told.changes) == 1200


async def test_a_server_that_ends_each_watch_at_once_is_not_asked_at_full_speed(
    api: FakeApi, client: Client
) -> None:
    clock = ManualClock()
    async with informing(client, CONFIG_MAPS, clock=clock):
        for asked in range(1, 4):
            await eventually(lambda: dropped(api) and clock.sleepers == 1)
            assert len(api.called("watch *")) == asked
            clock.advance(30)
            await watches(api, asked)


async def test_a_store_that_went_back_is_taken_as_it_is(api: FakeApi, client: Client) -> None:
    """A backup of etcd was restored: versions are lower, and some objects older than those that we hold."""
    put(api, "a", "b", x="old")
    informed = informing(client, CONFIG_MAPS, clock=QuickClock(), silence_timeout_s=0.3)
    async with informed as (informer, told):
        kind, kept = api.store.kind("configmaps"), dict(api.store.of(api.store.kind("configmaps")))
        api.patch(CONFIG_MAPS, "a", {"data": {"x": "new"}}, namespace="default")
        put(api, "c")
        await eventually(lambda: held(informer) == {"a", "b", "c"})
        await eventually(lambda: informer.objects[("default", "a")].data == {"x": "new"})
        await api.down()
        api.store.of(kind).clear()
        api.store.of(kind).update(kept)
        api.store.roll_back(2)
        await api.up()
        await eventually(lambda: held(informer) == {"a", "b"})
        assert informer.objects[("default", "a")].data == {"x": "old"}
        put(api, "d")
        await eventually(lambda: held(informer) == {"a", "b", "d"})
        # This history may go back; all others are checked for that.
        told.changes.clear()


@pytest.mark.parametrize("status", [0, 504])
async def test_an_older_store_is_seen_at_once_and_what_it_does_next_is_heard(
    api: FakeApi, client: Client, status: int
) -> None:
    """A watch from a version that an older store has not reached yet is silent, or refused as too large."""
    backup = api.store.backup()
    async with informing(client, CONFIG_MAPS, clock=QuickClock(), silence_timeout_s=600) as (informer, told):
        put(api, "a", "b", "c")
        await eventually(lambda: held(informer) == {"a", "b", "c"})
        await api.down()
        api.store.put_back(backup)
        if status:
            api.faults.fail("watch configmaps", status=status, times=2)
        else:
            api.faults.hold_watch("configmaps", user="system:admin")
        await api.up()
        await eventually(lambda: held(informer) == set())
        api.faults.clear()
        api.faults.drop_watch()
        put(api, "d")  # at a version that was seen before, of another object
        await eventually(lambda: held(informer) == {"d"})
        # This history may go back; all others are checked for that.
        told.changes.clear()


async def test_an_older_store_that_has_grown_since_is_found_by_comparing(
    api: FakeApi, client: Client
) -> None:
    put(api, "a", x="old")
    backup = api.store.backup()
    informed = informing(client, CONFIG_MAPS, clock=QuickClock(), namespace="default")
    async with informed as (informer, told):
        api.patch(CONFIG_MAPS, "a", {"data": {"x": "new"}}, namespace="default")
        put(api, "b")
        await eventually(lambda: held(informer) == {"a", "b"})
        await api.down()
        api.store.put_back(backup)
        put(api, "c", "d", "e", "f")
        await api.up()
        await eventually(lambda: held(informer) == {"a", "c", "d", "e", "f"})
        assert informer.objects[("default", "a")].data == {"x": "old"}
        put(api, "g")
        await eventually(lambda: "g" in held(informer))
        # This history may go back; all others are checked for that.
        told.changes.clear()


async def test_a_version_that_has_another_content_in_an_older_store_is_read_again(
    api: FakeApi, client: Client
) -> None:
    put(api, "a", x="old")
    backup = api.store.backup()
    informed = informing(client, CONFIG_MAPS, clock=QuickClock(), namespace="default")
    async with informed as (informer, told):
        seen = api.patch(CONFIG_MAPS, "a", {"data": {"x": "lost"}}, namespace="default")
        await eventually(lambda: informer.objects[("default", "a")].data == {"x": "lost"})
        await api.down()
        api.store.put_back(backup)
        again = api.patch(CONFIG_MAPS, "a", {"data": {"x": "new"}}, namespace="default")
        assert again["metadata"]["resourceVersion"] == seen["metadata"]["resourceVersion"]
        await api.up()
        await eventually(lambda: informer.objects[("default", "a")].data == {"x": "new"})
        told.changes.clear()  # this history may go back; all others are checked for that


async def test_a_server_that_does_not_know_us_any_more_is_listed_anew(api: FakeApi, client: Client) -> None:
    """Another store behind the same address, whose versions have grown past those of the one that is gone."""
    empty = api.store.backup()
    put(api, "a", of="the old store")
    for turn in range(3):
        api.patch(CONFIG_MAPS, "a", {"data": {"turn": str(turn)}}, namespace="default")
    async with informing(client, CONFIG_MAPS, clock=QuickClock()) as (informer, _):
        await eventually(lambda: held(informer) == {"a"})
        api.faults.fail("watch *", status=401)
        api.store.put_back(empty)
        put(api, "a", of="the new store")
        put(api, *(f"b{number}" for number in range(9)))
        api.faults.drop_watch()
        await eventually(lambda: len(held(informer)) == 10)
        assert informer.objects[("default", "a")].data == {"of": "the new store"}


async def test_a_strange_object_neither_stops_a_kind_nor_passes_for_deleted(
    api: FakeApi, client: Client
) -> None:
    spec = {"pool": "p", "addressSpace": "default", "address": "10.0.0.1"}
    for name in ("good", "strange"):
        api.create(IP_ADDRESSES, {"metadata": {"name": name}, "spec": spec})
    async with informing(client, IP_ADDRESSES, clock=QuickClock()) as (informer, told):
        api.patch(IP_ADDRESSES, "strange", {"spec": {"address": 7}})
        api.create(IP_ADDRESSES, {"metadata": {"name": "more"}, "spec": spec})
        await eventually(lambda: held(informer) == {"good", "strange", "more"})
        api.faults.fail("watch *", status=503)
        api.faults.drop_watch()
        await watches(api, 1)
        api.create(IP_ADDRESSES, {"metadata": {"name": "last"}, "spec": spec})
        api.store.forget_history()
        await eventually(lambda: len(api.called("list *")) == 2)
        await eventually(lambda: "last" in held(informer))
        assert held(informer) == {"good", "strange", "more", "last"}
        api.delete(IP_ADDRESSES, "strange")
        await eventually(lambda: held(informer) == {"good", "more", "last"})
        assert told.names().count("-strange") == 1


async def test_a_write_that_came_in_while_listing_is_not_lost(api: FakeApi, client: Client) -> None:
    async with informing(client, CONFIG_MAPS, clock=QuickClock()) as (informer, told):
        held_back = api.faults.hold("list *")
        api.faults.hold("watch *", times=None)
        api.store.forget_history()
        put(api, "hidden")
        api.store.forget_history()
        api.faults.faults[-1].times = 0
        api.faults.drop_watch()
        await eventually(lambda: held_back.met)
        answer = await client.create(CONFIG_MAPS, {"metadata": {"name": "mine"}}, namespace="default")
        informer.assume(answer)
        assert held_back.gate is not None
        held_back.gate.set()
        await eventually(lambda: held(informer) == {"hidden", "mine"})
        assert told.names().count("+mine") == 1
        assert "-mine" not in told.names()


async def test_a_write_answered_while_the_version_is_asked_for_is_no_older_store(
    api: FakeApi, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, older, version = [], [], relisting.Scope.version

    async def overtaken(scope: relisting.Scope[Any]) -> int:
        found = await version(scope)
        # The answer is on its way to us; that to a write of our own is here first.
        change = {"data": {"asked": str(len(asked))}}
        informer.assume(await client.patch(CONFIG_MAPS, "a", change, namespace="default"))
        asked.append(found)
        return found

    async def told_of_older() -> None:
        older.append(informer.resource_version)

    put(api, "a")
    async with informing(client, CONFIG_MAPS, clock=QuickClock()) as (informer, _):
        informer.before_older = told_of_older
        monkeypatch.setattr(relisting.Scope, "version", overtaken)
        await api.down()
        await eventually(lambda: not informer.watching)
        await api.up()
        await eventually(lambda: asked)
        put(api, "b")
        await eventually(lambda: held(informer) == {"a", "b"})
        assert not older
        assert dict(informer.starts) == {Way.LIST: 1}


async def test_an_older_store_that_grows_while_it_is_listed_is_an_older_store(
    api: FakeApi, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes much makes it as new as what was seen of it, in version alone."""
    version = relisting.Scope.version

    async def outgrown(scope: relisting.Scope[Any]) -> int:
        found = await version(scope)
        put(api, *(f"c{number}" for number in range(9)))
        return found

    older = []

    async def told_of_older() -> None:
        older.append(informer.resource_version)

    put(api, "a", x="old")
    backup = api.store.backup()
    async with informing(client, CONFIG_MAPS, clock=QuickClock()) as (informer, told):
        informer.before_older = told_of_older
        api.patch(CONFIG_MAPS, "a", {"data": {"x": "new"}}, namespace="default")
        put(api, "b")
        await eventually(lambda: held(informer) == {"a", "b"})
        monkeypatch.setattr(relisting.Scope, "version", outgrown)
        await api.down()
        await eventually(lambda: not informer.watching)
        api.store.put_back(backup)
        await api.up()
        await eventually(lambda: len(held(informer)) == 10)
        monkeypatch.undo()
        assert informer.objects[("default", "a")].data == {"x": "old"}
        assert older
        # This history may go back; all others are checked for that.
        told.changes.clear()


async def test_a_revoked_token_is_read_anew_from_its_file(api: FakeApi, tmp_path: Any) -> None:
    file = tmp_path / "token"
    file.write_text(api.new_token("agent"))
    credentials = api.credentials()
    credentials.token, credentials.token_file = None, file
    async with (
        Client(credentials) as client,
        informing(client, CONFIG_MAPS, clock=QuickClock()) as (informer, _),
    ):
        api.revoke(file.read_text())
        api.faults.drop_watch()
        await eventually(lambda: not informer.watching)
        file.write_text(api.new_token("agent"))
        put(api, "a")
        await eventually(lambda: held(informer) == {"a"})


async def test_one_object_that_cannot_be_taken_ends_nothing(api: FakeApi, client: Client) -> None:
    taken: list[str] = []
    bad = {"bad"}

    def take(change: Change[Any]) -> None:
        if change.key[1] in bad:
            raise OverflowError("no such number")
        taken.append(change.key[1])

    put(api, "a", "bad")
    informer: Informer[Any] = Informer(client, CONFIG_MAPS, on_change=take, clock=QuickClock())
    running = asyncio.create_task(informer.run())
    await eventually(lambda: taken == ["a"] and informer.untaken == {("default", "bad")})
    api.patch(CONFIG_MAPS, "bad", {"data": {"x": "1"}}, namespace="default")
    put(api, "b")
    await eventually(lambda: taken == ["a", "b"])
    assert informer.untaken == {("default", "bad")}
    assert held(informer) == {"a", "b", "bad"}
    assert informer.starts == {Way.LIST: 1}, "the watch goes on"
    api.delete(CONFIG_MAPS, "bad", namespace="default")
    await eventually(lambda: "bad" not in held(informer))
    assert informer.untaken == {("default", "bad")}, "that it is gone could not be taken either"
    bad.clear()
    put(api, "bad")
    await eventually(lambda: not informer.untaken)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
