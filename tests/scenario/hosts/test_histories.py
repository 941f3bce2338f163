"""What happened on hosts reaches the API server as Events: in order, once, with the time when it happened."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from innkeeper.domain.orders import Signer
from innkeeper.kube.client import Client
from innkeeper.kube.errors import ApiError, ConflictError, ForbiddenError
from innkeeper.kube.events import MAX_MESSAGE
from innkeeper.kube.informer import Change
from innkeeper.kube.resources import EVENTS, GUESTS, HOSTS, NAMESPACES
from innkeeper.state.host_records import Cursor
from innkeeper.state.subset import Subset
from innkeeper.views.guest import Guest
from innkeeper.views.host import Host
from innkeeper.workers.hosts.histories import FORBIDDEN_S, HistoryTeller, Outcome, Source
from innkeeper.workers.order_reader import OrderReader
from tests.kit import objects
from tests.kit.agent_orders import SIGNER
from tests.kit.clock import ManualClock
from tests.kit.fake_api import FakeApi
from tests.kit.fake_api_faults import Call
from tests.kit.objects import NAMESPACE, guest_id, view
from tests.kit.told_host import ToldHost
from tests.kit.waiting import eventually, one_turn

GUEST = guest_id(1)


class FastClock(ManualClock):
    """Nobody waits between two writes."""

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)
        await one_turn()


class Scene:
    """One host with told histories, an API server, and who tells."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.host = ToldHost("a")
        self.outcomes: Counter[Outcome] = Counter()
        self.client = Client(api.credentials("operator"))
        self.clock = FastClock()
        self.subset = Subset()  # of who was made last

    def furnish(self) -> None:
        self.api.create(HOSTS, objects.host("a"))
        for number, name in ((1, "web"), (2, "db")):
            self.api.create(GUESTS, objects.guest(name, number=number), namespace=NAMESPACE)
            self.api.patch(GUESTS, name, {"status": {"host": "a"}}, namespace=NAMESPACE, subresource="status")
            self.host.hold(number, guest_id=guest_id(number))

    def teller(self) -> HistoryTeller:
        """Return one as a process has it that begins to lead: it knows only what the API server holds."""
        subset = self.subset = Subset()
        for resource, kind in ((HOSTS, Host), (GUESTS, Guest)):
            for each in self.api.objects(resource):
                metadata = each["metadata"]
                key = (metadata.get("namespace", ""), metadata["name"])
                subset.apply(Change(key, None, view(each, kind)))
        source = Source(
            reader=lambda _host: self.host,
            read_to=lambda _host: Cursor(self.host.store_id, len(self.host.log)),
            answers=lambda _host: True,
            soon=lambda _host: None,
            orders=OrderReader(SIGNER),
        )
        made = HistoryTeller(self.client, subset, source=source, clock=self.clock)
        made.observe = lambda outcome, count: self.outcomes.update({outcome: count})
        return made

    def told(self, name: str = "web") -> list[tuple[str, str]]:
        """Return time and reason of each Event of a guest, in the order in which they were written."""
        found = self.api.objects(EVENTS, namespace=NAMESPACE)
        mine = [each for each in found if each["involvedObject"]["name"] == name]
        mine.sort(key=lambda each: int(each["metadata"]["resourceVersion"]))
        return [(each["eventTime"], each["reason"]) for each in mine]


@asynccontextmanager
async def _scene() -> AsyncIterator[Scene]:
    async with FakeApi() as api:
        scene = Scene(api)
        scene.furnish()
        async with scene.client:
            yield scene


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """A host that was seen before anything happened."""
    async with _scene() as made:
        await made.teller().tell("a")
        yield made


def at(second: int) -> str:
    return f"2026-01-01T00:00:{second:02d}.500000Z"


async def test_what_happened_while_nobody_listened_is_told_in_order_with_its_time(scene: Scene) -> None:
    scene.host.happen(GUEST, (at(1), "Crashed", "exit 1"), (at(2), "Starting"), (at(3), "Running"))
    scene.host.happen(guest_id(2), (at(4), "StoppedAtHost", "by root"))
    scene.host.happen(GUEST, (at(5), "RebootFailed", "op: GuestNotRunning"))
    await scene.teller().tell("a")
    assert scene.told() == [(at(1), "Crashed"), (at(3), "Running"), (at(5), "RebootFailed")]
    assert scene.told("db") == [(at(4), "StoppedAtHost")]
    event: dict[str, Any] = next(
        each for each in scene.api.objects(EVENTS, namespace=NAMESPACE) if each["reason"] == "Crashed"
    )
    assert (event["type"], event["message"], event["source"]["host"]) == ("Warning", "exit 1", "a")
    assert event["firstTimestamp"] == "2026-01-01T00:00:01Z"


async def test_it_is_told_once_whoever_leads(scene: Scene) -> None:
    teller = scene.teller()
    for second in (1, 2, 3):
        scene.host.happen(GUEST, (at(second), "Crashed"))
        await teller.tell("a")
        await teller.tell("a")
        teller = scene.teller()
        await teller.tell("a")
    assert scene.told() == [(at(second), "Crashed") for second in (1, 2, 3)]
    assert scene.outcomes == {Outcome.TOLD: 3}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("pattern", ["create events *", "patch hosts/status *"])
async def test_a_teller_that_is_killed_at_any_write_leaves_nothing_out_and_nothing_twice(
    scene: Scene, pattern: str, *, after: bool
) -> None:
    for second in (1, 2, 3, 4):
        scene.host.happen(GUEST, (at(second), "Crashed"), (at(second), "Running"))
    scene.api.faults.cut(pattern, times=1, after=after)
    with pytest.raises(ApiError):
        await scene.teller().tell("a")
    await scene.teller().tell("a")
    assert [reason for _, reason in scene.told()] == ["Crashed", "Running"] * 4


async def test_the_api_server_away_puts_it_off(scene: Scene) -> None:
    teller = scene.teller()
    await scene.api.down()
    for second in (1, 2):
        scene.host.happen(GUEST, (at(second), "Crashed"))
        with pytest.raises(ApiError):
            await teller.tell("a")
    await scene.api.up()
    await teller.tell("a")
    assert scene.told() == [(at(1), "Crashed"), (at(2), "Crashed")]


async def test_an_api_server_that_asks_for_a_pause_gets_it(scene: Scene) -> None:
    scene.host.happen(GUEST, (at(1), "Crashed"))
    scene.api.faults.fail("create events", status=429, retry_after_s=60)
    teller, began = scene.teller(), scene.clock.monotonic()
    working = asyncio.create_task(teller.run())
    await eventually(lambda: scene.told() == [(at(1), "Crashed")])
    working.cancel()
    assert scene.clock.monotonic() - began >= 60


async def test_a_log_that_does_not_reach_back_is_made_up_for_by_all_that_is_held(scene: Scene) -> None:
    scene.host.happen(GUEST, (at(1), "Crashed"))
    teller = scene.teller()
    await teller.tell("a")
    scene.host.happen(GUEST, (at(2), "Running"))
    scene.host.happen(guest_id(2), (at(3), "Completed"))
    scene.host.kept_from = len(scene.host.log)
    scene.host.happen(GUEST, (at(4), "Crashed"))
    await teller.tell("a")
    assert scene.told() == [(at(1), "Crashed"), (at(2), "Running"), (at(4), "Crashed")]
    assert scene.told("db") == [(at(3), "Completed")]


async def test_a_store_that_is_seen_first_is_not_told_from_its_beginning() -> None:
    async with _scene() as scene:
        scene.host.happen(GUEST, (at(1), "Crashed"))
        await scene.teller().tell("a")
        assert scene.told() == []
        scene.host.store_id = "another store"
        scene.host.happen(GUEST, (at(2), "Crashed"))
        await scene.teller().tell("a")
        assert scene.told() == []
        scene.host.happen(GUEST, (at(3), "Crashed"))
        await scene.teller().tell("a")
        assert scene.told() == [(at(3), "Crashed")]


@pytest.mark.parametrize("store_id", ["", "another store"], ids=["first-store", "new-store"])
async def test_a_refused_first_mark_of_a_store_is_written_though_nothing_happens(store_id: str) -> None:
    async with _scene() as scene:
        teller = scene.teller()
        if store_id:
            await teller.tell("a")
            scene.host.store_id = store_id
            teller = scene.teller()
        scene.api.faults.fail("patch hosts/status *", status=409)
        with pytest.raises(ConflictError):
            await teller.tell("a")
        await teller.tell("a")
        [host] = scene.api.objects(HOSTS)
        assert host["status"]["told"]["storeId"] == scene.host.store_id
        scene.host.happen(GUEST, (at(1), "Crashed"))
        await scene.teller().tell("a")
        assert scene.told() == [(at(1), "Crashed")], "whoever leads next goes on from the mark"


async def test_a_refused_mark_of_what_was_told_is_written_though_nothing_happens(scene: Scene) -> None:
    """Events do not last: who leads next, and told all again, would tell it as news."""
    teller = scene.teller()
    scene.host.happen(GUEST, (at(1), "Crashed"))
    scene.api.faults.fail("patch hosts/status *", status=409)
    with pytest.raises(ConflictError):
        await teller.tell("a")
    await teller.tell("a")
    for each in scene.api.objects(EVENTS, namespace=NAMESPACE):
        await scene.client.delete(EVENTS, each["metadata"]["name"], namespace=NAMESPACE)
    await scene.teller().tell("a")
    assert scene.told() == []


async def test_a_host_that_was_written_to_while_events_were_told_keeps_its_mark(scene: Scene) -> None:
    teller, subset = scene.teller(), scene.subset

    def note(call: Call, moment: str) -> None:
        if call.resource == "events" and moment == "after":
            [old] = subset.hosts.values()
            new = scene.api.patch(HOSTS, "a", {"status": {"agentVersion": "9"}}, subresource="status")
            subset.apply(Change(("", "a"), old, view(new, Host)))

    scene.api.on_write = note
    scene.host.happen(GUEST, (at(1), "Crashed"))
    await teller.tell("a")
    [host] = scene.api.objects(HOSTS)
    assert host["status"]["told"]["seq"] == len(scene.host.log)


async def test_an_event_that_the_api_server_never_takes_holds_nothing_up(scene: Scene) -> None:
    scene.host.happen(GUEST, (at(1), "Crashed"), (at(2), "Completed"))
    scene.host.happen(guest_id(2), (at(3), "Crashed"))
    scene.api.faults.fail("create events *", status=422)
    await scene.teller().tell("a")
    assert scene.told() == [(at(2), "Completed")]
    assert scene.told("db") == [(at(3), "Crashed")]


async def test_an_event_that_is_refused_for_a_while_is_told_then_and_in_order(scene: Scene) -> None:
    """A quota is full, a webhook denies, or the operator's rights are being renewed."""
    teller = scene.teller()
    scene.host.happen(GUEST, (at(1), "Crashed"), (at(2), "Completed"))
    scene.api.faults.fail("create events *", status=403, times=3)
    for _ in range(3):
        with pytest.raises(ForbiddenError):
            await teller.tell("a")
        scene.clock.advance(300)
    teller = scene.teller()  # whoever leads next knows nothing of it
    await teller.tell("a")
    assert scene.told() == [(at(1), "Crashed"), (at(2), "Completed")]


async def test_one_account_that_takes_no_events_holds_up_the_others_for_a_while_only(scene: Scene) -> None:
    scene.api.create(NAMESPACES, {"metadata": {"name": "other"}})
    scene.api.create(GUESTS, objects.guest("mail", number=3, namespace="other"), namespace="other")
    scene.api.patch(GUESTS, "mail", {"status": {"host": "a"}}, namespace="other", subresource="status")
    scene.host.hold(3, guest_id=guest_id(3))
    teller = scene.teller()
    await teller.tell("a")
    scene.host.happen(guest_id(3), (at(1), "Crashed"), (at(2), "Completed"))
    scene.host.happen(GUEST, (at(3), "Crashed"))
    scene.api.faults.fail("create events other/*", status=403, times=None)
    with pytest.raises(ForbiddenError):
        await teller.tell("a")
    assert scene.told() == []
    scene.clock.advance(FORBIDDEN_S)
    await teller.tell("a")
    assert scene.told() == [(at(3), "Crashed")]


async def test_events_of_a_namespace_that_is_being_deleted_hold_nothing_up(scene: Scene) -> None:
    scene.host.happen(GUEST, (at(1), "Crashed"))
    kept = {"metadata": {"finalizers": ["innkeeper.dev/test"]}}
    scene.api.patch(GUESTS, "web", kept, namespace=NAMESPACE)
    scene.api.delete(NAMESPACES, NAMESPACE)
    assert scene.api.get(NAMESPACES, NAMESPACE), "something is left in it"
    await scene.teller().tell("a")
    [host] = scene.api.objects(HOSTS)
    assert host["status"]["told"]["seq"] == len(scene.host.log)


async def test_a_message_is_as_long_as_the_api_server_takes_it(scene: Scene) -> None:
    scene.host.happen(GUEST, (at(1), "Crashed", "磁" * 400))
    await scene.teller().tell("a")
    [event] = scene.api.objects(EVENTS, namespace=NAMESPACE)
    assert event["message"] == "磁" * 341
    assert len(event["message"].encode()) <= MAX_MESSAGE


async def test_a_host_tells_only_of_guests_that_it_holds_by_our_order(scene: Scene) -> None:
    scene.host.hold(1, guest_id=GUEST, signer=Signer(b"\x03" * 32))
    scene.host.happen(GUEST, (at(1), "Crashed"))
    scene.host.happen(guest_id(2), ("no time", "Crashed"), (at(2), "Crashed"))
    scene.api.patch(GUESTS, "db", {"status": {"host": "b"}}, namespace=NAMESPACE, subresource="status")
    await scene.teller().tell("a")
    assert (scene.told(), scene.told("db")) == ([], [])


async def test_a_host_with_much_to_tell_leaves_no_guest_out() -> None:
    async with _scene() as scene:
        names = {number: f"guest-{number}" for number in range(3, 53)}
        for number, name in names.items():
            scene.api.create(GUESTS, objects.guest(name, number=number), namespace=NAMESPACE)
            scene.api.patch(
                GUESTS, name, {"status": {"host": "a"}}, namespace=NAMESPACE, subresource="status"
            )
            scene.host.hold(number, guest_id=guest_id(number))
        await scene.teller().tell("a")
        for second in range(1, 9):
            for number in names:
                scene.host.happen(guest_id(number), (at(second), "Crashed"))
        await scene.teller().tell("a")
        assert scene.outcomes == {Outcome.TOLD: 8 * len(names)}
        for name in names.values():
            assert scene.told(name) == [(at(second), "Crashed") for second in range(1, 9)]


async def test_a_log_without_anything_notable_costs_no_write(scene: Scene) -> None:
    teller = scene.teller()
    scene.api.calls.clear()
    for second in range(1, 6):
        scene.host.happen(GUEST, (at(second), "Starting"), (at(second), "Running"))
        await teller.tell("a")
    assert not [each for each in scene.api.calls if each.is_write]
