"""The operator's memory: indices, promises, who is told of what, and answers to our own writes."""

from ipaddress import ip_address
from typing import Any

import pytest

from innkeeper.domain.addressing.pool import understand
from innkeeper.domain.names import host_namespace
from innkeeper.domain.orders import Signer, peek
from innkeeper.domain.quantity import MOST, Amounts
from innkeeper.domain.scheduling.facts import Resident
from innkeeper.domain.scheduling.request import Request
from innkeeper.kube.informer import Change, key_of
from innkeeper.state import waiting
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.assignment import Assignment
from innkeeper.views.catalog import Cluster, Flavor, Image
from innkeeper.views.guest import Guest
from innkeeper.views.host import Host, HostAgent
from innkeeper.views.meta import View
from innkeeper.views.network import IPAddress, IPPool
from tests.kit import objects
from tests.kit.agent_orders import order
from tests.kit.objects import guest_id, view

KEY = ("default", "web")
SIZE = {"cpu": "1", "memory": "1Gi", "disk": "10Gi"}
GIB = 1024**3


class Told:
    """A subset, and what it told of."""

    def __init__(self) -> None:
        self.subset = Subset()
        self.guests: list[tuple[str, str]] = []
        self.unowned: list[tuple[str, str]] = []
        self.subset.on_guest = self.guests.append
        self.subset.on_unowned_assignment = lambda host, guest: self.unowned.append((host, guest))
        self.told_of_room = 0
        self.subset.on_room = self._room

    def _room(self) -> None:
        self.told_of_room += 1

    def comes(self, made: View) -> None:
        """An object appears or changes."""
        self.subset.apply(Change(key_of(made), None, made))

    def goes(self, made: View) -> None:
        """An object is gone."""
        self.subset.apply(Change(key_of(made), made, None))

    def room(self) -> list[tuple[str, str]]:
        """Return whom the room that there is told of could help; nobody, where nothing was told."""
        helped = [key for part in self.subset.backlog.helped() for key in part] if self.told_of_room else []
        self.told_of_room = 0
        return helped

    def fresh(self) -> None:
        """Forget what was told so far."""
        self.guests.clear()
        self.unowned.clear()


@pytest.fixture
def told() -> Told:
    return Told()


def a_guest(name: str = "web", *, host: str | None = None, version: int = 1, **changes: Any) -> Guest:
    status = {"host": host, "epoch": 1, "resources": SIZE} if host else {"resources": SIZE}
    document = objects.guest(name, status=status, **changes)
    document["metadata"] |= {"resourceVersion": str(version)}
    document["metadata"].setdefault("uid", f"uid-{name}")
    return view(document, Guest)


def a_host(name: str = "a", *, allocatable: dict[str, str] | None = None, **changes: Any) -> Host:
    document = objects.host(name, **changes)
    document["status"] |= {"allocatable": allocatable} if allocatable else {}
    return view(document, Host)


def an_order(
    host: str = "a", *, desired: str = "Running", outcome: str | None = "Accepted", signed: str = "{}"
) -> Assignment:
    status = {"outcome": outcome, "held": {"epoch": 1, "serial": 1}} if outcome else {}
    return view(objects.assignment(host=host, desired=desired, status=status, order=signed), Assignment)


def test_the_annotation_outweighs_the_uid() -> None:
    assert guest_id_of(a_guest()) == guest_id()
    assert guest_id_of(a_guest(number=None)) == "uid-web"


def test_a_bound_guest_takes_room_and_gives_it_back(told: Told) -> None:
    told.comes(a_host())
    told.comes(a_guest(host="a"))
    subset = told.subset
    assert subset.promises.of_host("a") == Amounts(1000, GIB, 10 * GIB)
    assert [each.metadata.name for each in subset.guests_of_host("a")] == ["web"]
    row = subset.fleet.row_of["a"]
    assert subset.fleet.free[:, row].tolist() == [7000, 15 * GIB, 190 * GIB]
    told.goes(a_guest(host="a"))
    assert (subset.promises.count("a"), subset.guests_of_host("a"), subset.guest_keys) == (0, [], {})


def test_a_guest_that_left_while_its_host_still_holds_it_keeps_the_room(told: Told) -> None:
    told.comes(a_guest(host="a"))
    told.comes(an_order(desired="Destroyed"))
    told.goes(a_guest(host="a"))
    assert told.subset.promises.count("a") == 1
    assert told.unowned == [("a", guest_id())]
    told.comes(an_order(desired="Destroyed", outcome="Destroyed"))
    assert told.subset.promises.count("a") == 0


def test_an_order_without_a_guest_takes_as_much_room_as_it_says(told: Told) -> None:
    signed = Signer(b"\x01" * 32).sign(order())
    told.comes(an_order(signed=signed))
    asked = peek(signed).resources
    assert told.subset.promises.of_host("a") == Amounts(
        asked.cpu_millis, asked.memory_bytes, asked.disk_bytes
    )
    told.comes(a_guest(host="a"))
    assert told.subset.promises.of_host("a") == Amounts(1000, GIB, 10 * GIB)
    assert told.subset.promises.count("a") == 1


def test_a_refused_guest_gives_its_room_back_and_wakes_who_waits(told: Told) -> None:
    told.comes(a_guest(host="a"))
    told.subset.backlog.wait(("default", "other"), Request(amounts=Amounts()), (0, ""))
    told.comes(a_host())
    told.room()
    told.comes(a_guest(version=2))
    assert told.subset.promises.count("a") == 0
    assert told.room() == [("default", "other")]


def test_a_guest_that_was_bound_by_another_operator_leaves_its_line(told: Told) -> None:
    told.comes(a_guest())
    for number, name in enumerate(("web", "behind")):
        told.subset.backlog.wait(("default", name), Request(amounts=Amounts()), (0, str(number)))
    told.fresh()
    told.comes(a_guest(host="a", version=2))
    assert told.subset.backlog.waiting() == [("default", "behind")]
    assert ("default", "behind") in told.guests, "it has a look now"


def test_another_guest_of_the_same_name_takes_nothing_over(told: Told) -> None:
    told.comes(a_guest(host="a"))
    told.comes(an_order(desired="Destroyed"))
    told.fresh()
    told.comes(a_guest(number=2, uid="new", version=9))
    assert told.unowned == [("a", guest_id())]
    assert told.subset.guest_keys == {guest_id(2): KEY}


def test_a_promise_whose_binding_failed_ends_unless_somebody_else_bound_the_guest(told: Told) -> None:
    told.comes(a_guest())
    promises = told.subset.promises
    promises.assume(guest_id(), Resident(host="a", amounts=Amounts(1, 1, 1)))
    told.subset.settle_promise(guest_id())
    assert promises.count("a") == 0
    promises.assume(guest_id(), Resident(host="a", amounts=Amounts(1, 1, 1)))
    told.comes(a_guest(host="b", version=2))
    told.subset.settle_promise(guest_id())
    assert (promises.count("a"), promises.count("b")) == (0, 1)


def test_a_pending_promise_survives_changes_of_its_guest(told: Told) -> None:
    told.comes(a_guest())
    told.subset.promises.assume(guest_id(), Resident(host="a", amounts=Amounts(1, 1, 1)))
    told.comes(a_guest(version=2, labels={"a": "b"}))
    assert told.subset.promises.count("a") == 1


def test_an_order_concerns_its_guest_or_nobody(told: Told) -> None:
    told.comes(a_guest(host="a"))
    told.fresh()
    told.comes(an_order())
    assert (told.guests, told.unowned) == ([KEY], [])
    told.goes(an_order())
    assert told.guests == [KEY, KEY]
    assert told.subset.assignments_of(guest_id()) == {}
    assert told.subset.assignments_of_host("a") == []


def test_orders_are_found_by_guest_and_by_host(told: Told) -> None:
    told.comes(an_order("a"))
    told.comes(an_order("b"))
    subset = told.subset
    assert set(subset.assignments_of(guest_id())) == {"a", "b"}
    assert [each.metadata.namespace for each in subset.assignments_of_host("b")] == [host_namespace("b")]
    assert subset.assignment(guest_id(), "c") is None


def test_addresses_are_found_by_guest_and_by_pool(told: Told) -> None:
    held = view(objects.address(2), IPAddress)
    told.comes(held)
    assert told.subset.claims.of_guest(guest_id()) == [held]
    quarantined = view(objects.address(2, owner=None, released_at=objects.NOW), IPAddress)
    told.comes(quarantined)
    assert told.subset.claims.of_guest(guest_id()) == []
    pool = understand(view(objects.pool(), IPPool).spec)
    assert told.subset.claims.count_of_pool("lab") == 1
    assert int(ip_address("10.7.0.2")) in told.subset.claims.taken(pool), "it rests"
    told.goes(quarantined)
    assert told.subset.claims.count_of_pool("lab") == 0
    assert int(ip_address("10.7.0.2")) not in told.subset.claims.taken(pool)


@pytest.mark.parametrize("released_at", [None, objects.NOW], ids=["by force", "after its rest"])
def test_a_claim_that_goes_wakes_all_whose_turn_it_is_its_owner_among_them(
    told: Told, released_at: str | None
) -> None:
    told.comes(a_guest())
    told.comes(view(objects.pool(maxPerNamespace=3), IPPool))
    causes = [waiting.pool("lab"), waiting.limit("lab", "default")]
    for place, key in enumerate([KEY, ("default", "next")]):
        told.subset.waiting.wait(key, causes, rank=(place, ""))
    owner = None if released_at else guest_id()
    goes = view(objects.address(2, owner=owner, released_at=released_at), IPAddress)
    told.comes(goes)
    told.fresh()
    told.goes(goes)
    assert set(told.guests) == {KEY, ("default", "next")}


@pytest.mark.parametrize(
    ("cause", "made"),
    [
        (waiting.flavor("small"), view(objects.flavor(), Flavor)),
        (waiting.image("default", "debian"), view(objects.image(), Image)),
        (waiting.pool("lab"), view(objects.pool(), IPPool)),
    ],
)
def test_what_a_guest_waits_for_wakes_it_and_nothing_else_does(told: Told, cause: str, made: View) -> None:
    told.subset.waiting.wait(("default", "waits"), [cause], rank=(0, ""))
    told.subset.waiting.wait(("default", "waits-for-another"), ["another"], rank=(0, ""))
    told.comes(made)
    assert told.guests == [("default", "waits")]


def test_a_changed_pool_wakes_who_waits_for_it_or_for_one_that_overlaps_with_it(told: Told) -> None:
    """The younger pool serves once the older one ends; a third one lies apart from both."""
    older, younger, apart = (
        view(objects.pool(name, cidr=cidr, gateway=None), IPPool)
        for name, cidr in (
            ("a-older", "10.8.0.0/29"),
            ("b-younger", "10.8.0.0/29"),
            ("c-apart", "10.9.0.0/29"),
        )
    )
    for each in (older, younger, apart):
        told.comes(each)
    for name in ("a-older", "b-younger", "c-apart"):
        told.subset.waiting.wait(("default", name), [waiting.spec_of_pool(name)], rank=(0, ""))
    told.fresh()
    told.goes(older)
    assert set(told.guests) == {("default", "a-older"), ("default", "b-younger")}
    told.fresh()
    told.comes(older)
    assert set(told.guests) == {("default", "a-older"), ("default", "b-younger")}
    told.fresh()
    told.goes(apart)
    assert told.guests == [("default", "c-apart")]


def test_a_free_address_is_offered_to_one_guest_after_the_other(told: Told) -> None:
    held = view(objects.address(2), IPAddress)
    told.comes(held)
    first, second = ("default", "z-first"), ("default", "a-second")
    told.subset.waiting.wait(second, [waiting.pool("lab")], rank=(0, "2026-01-02"))
    told.subset.waiting.wait(first, [waiting.pool("lab")], rank=(0, "2026-01-01"))
    told.goes(held)
    assert told.guests == [first]
    told.subset.wait_for(first, [waiting.pool("lab")], rank=(0, "2026-01-01"))
    assert told.guests == [first], "it looked in vain and keeps its turn"
    told.subset.stop_waiting(first)
    assert told.guests == [first, second]


def test_a_report_that_changes_nothing_of_the_host_wakes_nobody(told: Told) -> None:
    told.comes(a_host())
    told.comes(a_guest(host="a"))
    told.subset.backlog.wait(("default", "other"), Request(amounts=Amounts()), (0, ""))
    list(told.subset.backlog.helped())
    told.fresh()
    told.comes(a_host())
    assert (told.guests, told.told_of_room) == ([], 0)


@pytest.mark.parametrize(
    "changed",
    [
        a_host(condition=objects.ready("Unknown", "Silent")),
        a_host(lost="stolen"),
        a_host(store_id="another"),
    ],
    ids=["silent", "lost", "another store"],
)
def test_what_happens_to_a_host_concerns_its_guests(told: Told, changed: Host) -> None:
    told.comes(a_host())
    told.comes(a_guest(host="a"))
    told.comes(a_guest("elsewhere", number=2, host="b"))
    told.fresh()
    told.comes(changed)
    assert told.guests == [KEY]


def test_a_host_that_never_reported_or_is_absent_is_not_told_silent(told: Told) -> None:
    guest = a_guest(host="a")
    assert (told.subset.guests_host_is_silent(guest), told.subset.host_is_told_silent("a")) == (True, False)
    told.comes(a_host(condition=objects.ready("False", "NeverReported")))
    assert (told.subset.guests_host_is_silent(guest), told.subset.host_is_told_silent("a")) == (True, False)


def test_silent_lost_and_absent_hosts(told: Told) -> None:
    guest = a_guest(host="a")
    subset = told.subset
    assert (subset.guests_host_is_silent(guest), subset.guest_is_lost(guest)) == (True, False)
    told.comes(a_host())
    assert (subset.guests_host_is_silent(guest), subset.guest_is_lost(guest)) == (False, False)
    told.comes(a_host(condition=objects.ready("Unknown", "Unheard")))
    assert not subset.guests_host_is_silent(guest), "when many are not heard, it is we who are cut off"
    told.comes(a_host(condition=objects.ready("Unknown", "Silent")))
    assert subset.guests_host_is_silent(guest)
    assert subset.host_is_told_silent("a")
    told.comes(a_host(lost="stolen"))
    assert subset.guest_is_lost(guest)
    assert not subset.guest_is_lost(a_guest())


def test_the_answer_to_a_write_is_taken_unless_something_newer_is_there(told: Told) -> None:
    told.subset.assume(a_guest(version=5, host="a"))
    told.subset.assume(a_guest(version=4))
    assert told.subset.guests[KEY].status.host == "a"
    told.subset.assume(a_guest(version=10))
    assert told.subset.guests[KEY].status.host is None, "10 is newer than 5: versions are numbers"


def test_an_attached_informer_takes_it_instead(told: Told) -> None:
    taken: list[Guest] = []
    told.subset.attach(Guest, taken.append)
    told.subset.assume(a_guest())
    assert [each.metadata.name for each in taken] == ["web"]
    assert told.subset.guests == {}


def test_what_an_agent_tells_of_images_ranks_its_host_and_wakes_nobody() -> None:
    told, digest = Told(), f"sha256:{'a' * 64}"
    told.comes(view(objects.host("a"), Host))
    told.comes(view(objects.host("b"), Host))
    told.room()
    agent = {
        "metadata": {"name": "host", "namespace": host_namespace("b"), "uid": "u", "resourceVersion": "9"},
        "spec": {"cluster": "lab", "network": {"bridge": "br0"}},
        "status": {"images": [{"digest": digest, "percent": 75}]},
    }
    told.comes(view(agent, HostAgent))
    fleet = told.subset.fleet
    rows = fleet.all_rows()
    shares = fleet.images.shares(digest, rows.numbers)
    assert {fleet.host_at(row): share for row, share in enumerate(shares.tolist())} == {"a": 0, "b": 75}
    assert told.told_of_room == 0


@pytest.mark.parametrize("amount", ["1Ei", "16Ei", "9999999999999999999Ei", "99999999999999999999"])
def test_a_host_that_tells_of_more_than_there_can_be_is_taken_as_very_large(told: Told, amount: str) -> None:
    told.comes(a_host(allocatable={"cpu": "8", "memory": amount, "disk": amount}))
    told.comes(a_guest(host="a"))
    assert told.subset.promises.of_host("a") == Amounts(1000, GIB, 10 * GIB)
    row = told.subset.fleet.row_of["a"]
    assert told.subset.fleet.free[:, row].tolist() == [7000, MOST - GIB, MOST - 10 * GIB]
    told.comes(a_host())
    assert told.subset.fleet.free[:, row].tolist() == [7000, 15 * GIB, 190 * GIB]


def test_a_guest_that_asks_for_more_than_there_can_be_harms_no_other(told: Told) -> None:
    huge = Request(amounts=Amounts(1000, 1 << 100, 1 << 100))
    told.subset.backlog.wait(("default", "huge"), huge, (0, ""))
    told.subset.backlog.wait(("default", "other"), Request(amounts=Amounts()), (0, ""))
    told.comes(a_host())
    assert told.room() == [("default", "other")]
    told.subset.promises.keep("huge", Resident(host="b", amounts=huge.amounts))
    told.comes(a_host("b"))
    assert told.subset.fleet.free[:, told.subset.fleet.row_of["b"]].max() <= 8000


BY_LABEL = view(objects.pool(clusterSelector={"matchLabels": {"net": "blue"}}), IPPool)
BY_NAME = view(objects.pool(clusters=["lab"]), IPPool)
BLUE = view(objects.cluster(labels={"net": "blue"}), Cluster)


@pytest.mark.parametrize(
    ("pool", "before", "after", "look"),
    [
        (BY_LABEL, None, BLUE, ["a", "b"]),
        (BY_LABEL, view(objects.cluster(), Cluster), BLUE, ["a", "b"]),
        (BY_LABEL, BLUE, view(objects.cluster(), Cluster), ["a", "b"]),
        (BY_LABEL, BLUE, BLUE, []),
        (BY_NAME, None, BLUE, []),
    ],
    ids=["new", "labelled", "no more labelled", "the same labels", "a pool that names its clusters"],
)
def test_clusters_that_a_pool_chooses_by_label_concern_all_that_wait(
    told: Told, pool: IPPool, before: Cluster | None, after: Cluster, look: list[str]
) -> None:
    told.comes(pool)
    if before is not None:
        told.comes(before)
    for name in ("a", "b"):
        told.subset.backlog.wait(("default", name), Request(amounts=Amounts()), (0, name))
    told.fresh()
    told.comes(after)
    assert told.guests == [("default", name) for name in look]


def test_a_cluster_that_goes_concerns_all_that_wait(told: Told) -> None:
    told.comes(BY_LABEL)
    told.comes(BLUE)
    told.subset.backlog.wait(KEY, Request(amounts=Amounts()), (0, ""))
    told.fresh()
    told.goes(BLUE)
    assert told.guests == [KEY]


def changed_pool(*, labels: dict[str, str] | None = None, goes: bool = False, **spec: Any) -> IPPool:
    made = objects.pool(**spec)
    made["metadata"] |= {"labels": labels or {}} | (
        {"deletionTimestamp": "2026-01-01T00:00:00Z"} if goes else {}
    )
    return view(made, IPPool)


@pytest.mark.parametrize(
    ("changed", "look"),
    [
        (changed_pool(dns=["10.7.0.3"]), []),
        (changed_pool(quarantine="10s"), []),
        (changed_pool(exclude=["10.7.0.4"]), []),
        (changed_pool(reservations=[{"address": "10.7.0.3", "owner": "default/b", "reason": "r"}]), ["b"]),
        (changed_pool(clusters=["lab"]), ["a", "b"]),
        (changed_pool(clusterSelector={"matchLabels": {"net": "blue"}}), ["a", "b"]),
        (changed_pool(labels={"net": "blue"}), ["a", "b"]),
        (changed_pool(goes=True), ["a", "b"]),
        (changed_pool(gateway="192.0.2.1"), ["a", "b"]),
        (None, ["a", "b"]),
    ],
    ids=[
        "DNS",
        "quarantine",
        "fewer addresses",
        "a reservation",
        "clusters by name",
        "clusters by labels",
        "labels",
        "being deleted",
        "of no use",
        "gone",
    ],
)
def test_a_changed_pool_has_all_that_wait_for_room_look_where_it_serves_other_guests_or_clusters(
    told: Told, changed: IPPool | None, look: list[str]
) -> None:
    told.comes(before := changed_pool())
    for number, name in enumerate(("a", "b"), start=1):
        told.comes(view(objects.guest(name, number=number), Guest))
        told.subset.backlog.wait(("default", name), Request(amounts=Amounts()), (0, name))
    told.fresh()
    if changed is None:
        told.goes(before)
    else:
        told.comes(changed)
    assert told.guests == [("default", name) for name in look]


def test_who_waits_for_something_else_now_has_the_next_look(told: Told) -> None:
    first, second = ("default", "first"), ("default", "second")
    told.subset.wait_for_room(first, Request(amounts=Amounts()), (0, "1"))
    told.subset.wait_for_room(second, Request(amounts=Amounts()), (0, "2"))
    assert told.guests == []
    told.subset.wait_for_room(first, Request(amounts=Amounts(1, 1, 1)), (0, "1"))
    assert told.guests == [second]


def test_a_flavor_wakes_who_waits_for_it_when_it_says_something_else(told: Told) -> None:
    told.comes(view(objects.flavor(), Flavor))
    told.subset.waiting.wait(KEY, [waiting.flavor("small")], rank=(0, ""))
    told.comes(view(objects.flavor(), Flavor))
    assert told.guests == []
    told.comes(view(objects.flavor(cpu="2"), Flavor))
    assert told.guests == [KEY]
