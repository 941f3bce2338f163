"""What the operator knows of what hosts hold: by events where it can, by snapshots where it must, and never by a lie."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from innkeeper.agent import refusals
from innkeeper.domain.orders import Rank, Signer
from innkeeper.hosts.ports import HostUnreadError
from innkeeper.kube.informer import Change
from innkeeper.state import host_records
from innkeeper.state.host_records import HostRecords
from innkeeper.state.subset import Subset
from innkeeper.views.host import Host, HostAgent
from innkeeper.workers.hosts.records import Asked, Pull, RecordKeeper
from innkeeper.workers.order_reader import OrderReader
from tests.kit import objects
from tests.kit.agent_orders import SIGNER, guest_id
from tests.kit.clock import ManualClock
from tests.kit.objects import view
from tests.kit.told_host import ToldHost
from tests.kit.waiting import eventually, settled

PREVIOUS, STRANGER = Signer(b"\x02" * 32), Signer(b"\x03" * 32)


class Scene:
    """Hosts `a`, `b` and so on, and who reads them."""

    def __init__(self, *names: str) -> None:
        self.clock = ManualClock()
        self.subset = Subset()
        self.records = HostRecords()
        self.hosts = {name: ToldHost(name) for name in names}
        self.pulls: Counter[Pull] = Counter()
        self.foreign = 0
        for name in names:
            self.subset.apply(Change(("", name), None, view(objects.host(name), Host)))
        self.keeper = self.another(self.records)

    def another(self, records: HostRecords) -> RecordKeeper:
        """Return who would read the same hosts in a process of its own."""
        keeper = RecordKeeper(
            self.subset,
            records=records,
            orders=OrderReader(SIGNER, PREVIOUS),
            asked=Asked(reader=self.hosts.get),
            clock=self.clock,
            random=Random(1),  # noqa: S311 - the same spread in every run
        )
        keeper.observed_by(lambda pull: self.pulls.update([pull]), foreign=self._count_foreign)
        return keeper

    def _count_foreign(self) -> None:
        self.foreign += 1

    def known(self, host: str = "a") -> dict[str, Rank]:
        """Return the guests that a host is known to hold."""
        record = self.records.of(host)
        return {name: each.rank for name, each in record.guests.items()} if record else {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have the hosts read until the context ends."""
        task = asyncio.create_task(self.keeper.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def scene() -> Scene:
    return Scene("a")


def tombstones(records: HostRecords) -> dict[str, Rank]:
    """Return what the host is known to have destroyed."""
    record = records.of("a")
    assert record is not None
    return record.tombstones


async def test_a_snapshot_first_and_then_what_changed(scene: Scene) -> None:
    host = scene.hosts["a"]
    for number in range(1, 6):
        host.hold(number)
    await scene.keeper.pull("a")
    assert set(scene.known()) == {guest_id(number) for number in range(1, 6)}
    host.hold(1, serial=7)
    host.destroy(guest_id(2), epoch=1, serial=9)
    host.drop(guest_id(3))
    host.asked.clear()
    await scene.keeper.pull("a")
    assert "snapshot" not in host.asked
    assert scene.known()[guest_id(1)] == Rank(1, 7)
    assert set(scene.known()) == {guest_id(1), guest_id(4), guest_id(5)}
    assert tombstones(scene.records) == {guest_id(2): Rank(1, 9)}
    assert scene.pulls == {Pull.SNAPSHOT: 1, Pull.EVENTS: 1}


async def test_what_changes_between_two_pages_is_not_missed(scene: Scene) -> None:
    host = scene.hosts["a"]
    for number in range(1, 6):
        host.hold(number)
    first, pages = host.snapshot, 0

    async def meanwhile(*, after: str | None = None) -> object:
        nonlocal pages
        pages += 1
        if pages == 3:
            host.destroy(guest_id(1))  # it was told of by a page that is read already
        return await first(after=after)

    host.snapshot = meanwhile  # type: ignore[method-assign,assignment] # the test stands in between
    await scene.keeper.pull("a")
    assert guest_id(1) not in scene.known()
    assert tombstones(scene.records)[guest_id(1)] == Rank(1, 2)


async def test_a_record_is_as_old_as_it_was_until_all_that_changed_is_read(scene: Scene) -> None:
    host = scene.hosts["a"]
    await scene.keeper.pull("a")
    before = scene.records.of("a")
    assert before is not None
    asked_at = before.asked_at
    for number in range(1, 4):
        host.hold(number)
    first = host.events

    async def cut(*, store_id: str, since: int) -> object:
        if since >= host.page:
            raise HostUnreadError("it fell silent")
        return await first(store_id=store_id, since=since)

    host.events = cut  # type: ignore[method-assign,assignment] # the host falls silent after a page
    scene.clock.advance(60)
    with pytest.raises(HostUnreadError):
        await scene.keeper.pull("a")
    record = scene.records.of("a")
    assert record is not None
    assert (len(record.guests), record.asked_at) == (2, asked_at)
    host.events = first  # type: ignore[method-assign] # it answers again
    await scene.keeper.pull("a")
    record = scene.records.of("a")
    assert record is not None
    assert (len(record.guests), record.asked_at) == (3, asked_at + 60)


@pytest.mark.parametrize("loss", ["other store", "dropped lines", "went back"])
async def test_a_gap_has_everything_read_again(scene: Scene, loss: str) -> None:
    host = scene.hosts["a"]
    host.hold(1)
    host.hold(2)
    await scene.keeper.pull("a")
    if loss == "other store":
        host.store_id = "22222222-2222-4222-8222-222222222222"
        host.entries.clear()
    elif loss == "dropped lines":
        host.drop(guest_id(1))
        host.drop(guest_id(2))
        host.kept_from = len(host.log)
    else:
        host.log.clear()
        host.entries.clear()
    host.hold(3)
    await scene.keeper.pull("a")
    assert set(scene.known()) == {guest_id(3)}
    assert scene.records.holders(guest_id(1)) == {}


async def test_only_orders_of_our_keys_for_that_host_and_guest_count(scene: Scene) -> None:
    host = scene.hosts["a"]
    host.hold(1)
    host.hold(2, signer=PREVIOUS)
    host.hold(3, signer=STRANGER)
    host.hold(4, host="b")
    host.put(guest_id(5), SIGNER.sign(host.hold(6)))  # another guest's order
    host.put(guest_id(7), "nonsense")
    await scene.keeper.pull("a")
    assert set(scene.known()) == {guest_id(1), guest_id(2), guest_id(6)}
    assert scene.foreign == 4
    record = scene.records.of("a")
    assert record is not None
    assert record.foreign == {guest_id(number) for number in (3, 4, 5, 7)}, "they are there all the same"


async def test_a_refused_guest_is_not_held_and_its_unsigned_remnant_is_nobody_else_s_order(
    scene: Scene,
) -> None:
    host = scene.hosts["a"]
    refused = host.hold(1)
    host.hold(2)
    await scene.keeper.pull("a")
    host.put(refused.guest_id, refusals.text_of(refused), "Refused")
    await scene.keeper.pull("a")
    assert set(scene.known()) == {guest_id(2)}
    assert scene.foreign == 0


async def test_a_guest_whose_order_is_no_longer_ours_is_forgotten(scene: Scene) -> None:
    host = scene.hosts["a"]
    host.hold(1)
    await scene.keeper.pull("a")
    record = scene.records.of("a")
    assert record is not None
    host.hold(1, signer=STRANGER)
    await scene.keeper.pull("a")
    assert scene.known() == {}
    assert record.foreign == {guest_id(1)}
    host.hold(1)
    await scene.keeper.pull("a")
    assert (set(scene.known()), record.foreign) == ({guest_id(1)}, set())


async def test_a_host_that_does_not_answer_is_counted_and_leaves_what_was_known(scene: Scene) -> None:
    host = scene.hosts["a"]
    host.hold(1)
    assert scene.keeper.unread() == 1
    await scene.keeper.pull("a")
    assert scene.keeper.unread() == 0
    host.is_away = True
    with pytest.raises(HostUnreadError):
        await scene.keeper.pull("a")
    assert scene.keeper.unread() == 1
    assert set(scene.known()) == {guest_id(1)}
    assert scene.pulls[Pull.FAILED] == 1


async def test_pages_that_do_not_go_on_are_given_up(scene: Scene) -> None:
    host = scene.hosts["a"]
    for number in range(1, 6):
        host.hold(number)
    first = host.snapshot

    async def again_and_again(*, after: str | None = None) -> object:  # noqa: ARG001 - it answers the same whatever is asked
        return await first()

    host.snapshot = again_and_again  # type: ignore[method-assign,assignment] # the test stands in between
    with pytest.raises(HostUnreadError, match="do not go on"):
        await scene.keeper.pull("a")
    assert scene.known() == {}


async def test_one_that_is_away_holds_up_nobody_and_is_asked_again_later() -> None:
    scene = Scene("a", "b")
    scene.hosts["a"].is_away = True
    scene.hosts["a"].hold(1)
    scene.hosts["b"].hold(2)
    async with scene.running():
        await eventually(lambda: scene.known("b"))
        await settled(lambda: len(scene.hosts["a"].asked), for_s=0.05)
        assert len(scene.hosts["a"].asked) == 1
        scene.hosts["a"].is_away = False
        scene.clock.advance(10)
        await eventually(lambda: scene.known("a"))


async def test_when_hosts_are_asked() -> None:
    """At start, on the timer, when it is heard again, when its address changes, and after a relist."""
    scene = Scene("a")
    host = scene.hosts["a"]

    async def asked() -> bool:
        await eventually(lambda: host.asked)
        await settled(lambda: len(host.asked), for_s=0.05)
        told = bool(host.asked)
        host.asked.clear()
        return told

    async with scene.running():
        assert await asked(), "at start"
        scene.clock.advance(500)
        assert await asked(), "on the timer"
        silent = view(objects.host("a", condition=objects.ready("Unknown", "Silent")), Host)
        heard = view(objects.host("a"), Host)
        scene.keeper.host_changed(Change(("", "a"), heard, silent))
        await settled(lambda: len(host.asked), for_s=0.05)
        assert host.asked == []
        scene.keeper.host_changed(Change(("", "a"), silent, heard))
        assert await asked(), "heard again"
        agent = {"metadata": {"name": "host", "namespace": "host-a"}}
        agent |= {"spec": {"cluster": "lab", "network": {"bridge": "br0"}}}
        old, new = (view(agent | {"status": {"address": address}}, HostAgent) for address in ("x:1", "y:1"))
        scene.keeper.agent_changed(Change(("host-a", "host"), old, new))
        assert await asked(), "reached elsewhere"
        scene.keeper.ask_all()
        assert await asked(), "after a relist"


async def test_a_host_that_is_gone_is_forgotten(scene: Scene) -> None:
    scene.hosts["a"].hold(1)
    await scene.keeper.pull("a")
    scene.subset.apply(Change(("", "a"), view(objects.host("a"), Host), None))
    await scene.keeper.pull("a")
    assert scene.records.of("a") is None
    assert scene.records.holders(guest_id(1)) == {}


async def test_the_next_process_goes_on_from_the_file(scene: Scene) -> None:
    host = scene.hosts["a"]
    host.hold(1)
    host.destroy(guest_id(2))
    await scene.keeper.pull("a")
    records = HostRecords()
    for name, record in host_records.decode(host_records.encode(scene.records.state())).items():
        records.replace(name, record)
    host.hold(3)
    host.asked.clear()
    await scene.another(records).pull("a")
    assert "snapshot" not in host.asked
    record = records.of("a")
    assert record is not None
    assert set(record.guests) == {guest_id(1), guest_id(3)}
    assert tombstones(records)[guest_id(2)] == Rank(1, 2)
