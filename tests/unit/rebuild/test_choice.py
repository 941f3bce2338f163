"""Which order of a guest counts when several hosts speak, some of them wrongly."""

from collections.abc import Iterable

import msgspec
import pytest

from innkeeper.domain.host_store import GuestEntry, TombstoneEntry
from innkeeper.domain.lifecycle.ordering import to_destroy
from innkeeper.domain.orders import Rank, Signer
from innkeeper.domain.quantity import Amounts
from innkeeper.domain.rebuild.choice import Choice, choose
from innkeeper.domain.rebuild.findings import FindingKind
from innkeeper.domain.rebuild.testimony import Judging
from innkeeper.views.assignment import Assignment
from innkeeper.views.host import Network
from tests.kit import objects
from tests.kit.agent_orders import GIB, KEYS, guest_id
from tests.kit.host_stores import SETTINGS, HostStore
from tests.kit.objects import view

FORGER = Signer(b"\x66" * 32)


def chosen(*hosts: HostStore) -> Choice:
    """Return what counts of what these hosts tell."""
    told = [Judging(each.host, KEYS) for each in hosts]
    for judging, host in zip(told, hosts, strict=True):
        judging.settings = host.settings
        entries: list[GuestEntry | TombstoneEntry] = [*host.guests.values(), *host.tombstones.values()]
        for entry in entries:
            judging.take(entry)
    return choose(each.testimony() for each in told)


def holders(choice: Choice) -> dict[str, tuple[str, int, int]]:
    return {
        each.order.guest_id: (each.order.host, each.order.epoch, each.order.serial) for each in choice.guests
    }


def kinds(choice: Choice) -> list[FindingKind]:
    return [each.kind for each in choice.findings]


@pytest.fixture
def hosts() -> tuple[HostStore, HostStore]:
    """Two hosts of one cluster."""
    return HostStore("a"), HostStore("b")


@pytest.mark.parametrize("ranks", [((1, 9), (2, 1)), ((2, 1), (2, 2))])
def test_the_latest_order_of_a_guest_counts_and_the_other_is_told_of(
    hosts: tuple[HostStore, HostStore], ranks: Iterable[tuple[int, int]]
) -> None:
    for host, (epoch, serial) in zip(hosts, ranks, strict=True):
        host.hold(host.order(epoch=epoch, serial=serial))
    choice = chosen(*hosts)
    assert [held[0] for held in holders(choice).values()] == ["b"]
    [finding] = choice.findings
    assert (finding.kind, finding.host) == (FindingKind.SUPERSEDED, "a")


def test_the_text_that_counts_is_the_one_that_the_host_holds(hosts: tuple[HostStore, HostStore]) -> None:
    text = hosts[0].hold(hosts[0].order(epoch=3, serial=7))
    assert [each.text for each in chosen(*hosts).guests] == [text]


@pytest.mark.parametrize(("epoch", "comes_back"), [(1, False), (2, True), (3, True)])
def test_a_guest_that_another_host_destroyed_in_a_later_epoch_is_not_made_anew(
    hosts: tuple[HostStore, HostStore], epoch: int, *, comes_back: bool
) -> None:
    a, b = hosts
    a.bury(a.order(epoch=2))
    b.hold(b.order(epoch=epoch))
    choice = chosen(a, b)
    assert (guest_id() in holders(choice)) is comes_back
    assert (FindingKind.DESTROYED in kinds(choice)) is not comes_back


def test_a_host_that_destroyed_the_disk_that_it_kept_ends_no_guest_that_lives_elsewhere(
    hosts: tuple[HostStore, HostStore],
) -> None:
    """The order for that is of the guest's present epoch, and by all that it says it might be the guest's own end."""
    a, b = hosts
    left = a.order(epoch=2, serial=7, desired="Superseded", image=None)
    there = view(objects.assignment(rank=(2, 7)), Assignment)
    a.bury_by(to_destroy(left, there, store_id=left.store_id))
    b.hold(b.order(epoch=2))
    choice = chosen(a, b)
    assert holders(choice) == {guest_id(): ("b", 2, 1)}
    [finding] = choice.findings
    assert (finding.kind, finding.host) == (FindingKind.SUPERSEDED, "a")
    assert (
        "host a destroyed what it kept of it, by the order 2.8; it lives on host b, by 2.1" in finding.message
    )


def test_a_guest_that_its_own_host_destroyed_is_not_made_anew(hosts: tuple[HostStore, HostStore]) -> None:
    a, b = hosts
    order = b.order(epoch=2)
    b.bury(order)
    b.hold(order)
    assert holders(chosen(a, b)) == {}


def test_no_host_ends_the_guest_of_another_by_its_word_alone(hosts: tuple[HostStore, HostStore]) -> None:
    a, b = hosts
    a.bury(a.order(epoch=9), proven=False)
    b.hold(b.order())
    choice = chosen(a, b)
    assert holders(choice) == {guest_id(): ("b", 1, 1)}
    assert kinds(choice) == [FindingKind.END_NOT_PROVEN]


def test_one_that_was_taken_off_a_host_is_told_of_so(hosts: tuple[HostStore, HostStore]) -> None:
    a, b = hosts
    a.forget(a.order(epoch=9), by="bob at noon")
    b.hold(b.order())
    [finding] = chosen(*hosts).findings
    assert (finding.kind, finding.host) == (FindingKind.END_NOT_PROVEN, "a")
    assert "taken off it by bob at noon" in finding.message
    assert "destroyed" not in finding.message


@pytest.mark.parametrize(("bound", "word"), [("a", "bob at noon"), ("b", "")])
def test_who_took_a_guest_off_counts_of_the_host_that_it_was_on(
    hosts: tuple[HostStore, HostStore], bound: str, word: str
) -> None:
    a, b = hosts
    a.forget(a.order(serial=2), by="bob at noon")
    b.bury(b.order())
    ends = chosen(a, b).ends
    rank = ends.of(guest_id(), bound, epoch=1)
    assert rank == Rank(1, 2)
    assert ends.forgetter(guest_id(), bound, rank=rank) == word


def test_a_host_may_end_its_own_guest_by_its_word(hosts: tuple[HostStore, HostStore]) -> None:
    a, _ = hosts
    a.bury(a.order(), proven=False)
    a.hold(a.order())
    assert holders(chosen(a)) == {}


def test_a_guest_whose_end_is_under_way_is_not_made_anew(hosts: tuple[HostStore, HostStore]) -> None:
    a, b = hosts
    a.hold(a.order(epoch=2, desired="Destroyed", image=None))
    b.hold(b.order(epoch=1))
    assert holders(chosen(a, b)) == {}


def test_a_refused_guest_holds_nothing(hosts: tuple[HostStore, HostStore]) -> None:
    a, b = hosts
    a.hold(a.order(epoch=2), outcome="Refused")
    b.hold(b.order(epoch=1))
    assert holders(chosen(a, b)) == {guest_id(): ("b", 1, 1)}


@pytest.mark.parametrize("lie", ["forged", "of another host", "of another guest", "no order"])
def test_orders_that_are_not_ours_or_not_that_hosts_count_for_nothing(
    hosts: tuple[HostStore, HostStore], lie: str
) -> None:
    a, b = hosts
    b.hold(b.order(2))
    if lie == "forged":
        a.hold(a.order(), signer=FORGER)
    elif lie == "of another host":
        a.hold(b.order())
    else:
        a.hold(a.order())
        entry = a.guests.pop(guest_id())
        told = (
            msgspec.structs.replace(entry, order="{}")
            if lie == "no order"
            else msgspec.structs.replace(entry, guest_id=guest_id(7))
        )
        a.guests[told.guest_id] = told
    choice = chosen(a, b)
    assert holders(choice) == {guest_id(2): ("b", 1, 1)}
    assert kinds(choice) in ([FindingKind.ORDER_NOT_OURS], [FindingKind.ORDER_MISPLACED])


@pytest.mark.parametrize("former", [0, 1])
@pytest.mark.parametrize("rank", [(2, 1), (2, 7), (3, 1)])
def test_a_host_that_keeps_the_disk_of_a_guest_that_lives_elsewhere_is_told_of_and_never_chosen(
    hosts: tuple[HostStore, HostStore], former: int, rank: tuple[int, int]
) -> None:
    """Both hold the same rank after a move; neither that nor their names may decide."""
    old, new = hosts[former], hosts[1 - former]
    old.leave(old.order(epoch=rank[0], serial=rank[1]))
    new.hold(new.order(epoch=2))
    choice = chosen(*hosts)
    assert holders(choice) == {guest_id(): (new.host, 2, 1)}
    [finding] = choice.findings
    assert (finding.kind, finding.host) == (FindingKind.SUPERSEDED, old.host)
    assert f"it lives on host {new.host}, by 2.1" in finding.message


def test_a_guest_that_lives_on_no_host_that_was_heard_is_told_of(hosts: tuple[HostStore, HostStore]) -> None:
    a, b = hosts
    a.leave(a.order(epoch=2))
    b.hold(b.order(epoch=2), outcome="Refused")
    choice = chosen(a, b)
    assert holders(choice) == {}
    [finding] = choice.findings
    assert (finding.kind, finding.host) == (FindingKind.HOLDER_UNKNOWN, "a")


def test_a_guest_that_was_destroyed_where_it_lived_does_not_come_back_from_its_former_host(
    hosts: tuple[HostStore, HostStore],
) -> None:
    a, b = hosts
    a.leave(a.order(epoch=2))
    b.bury(b.order(epoch=2))
    choice = chosen(a, b)
    assert holders(choice) == {}
    assert kinds(choice) == [FindingKind.DESTROYED]


def test_a_copied_end_does_not_count_on_another_host(hosts: tuple[HostStore, HostStore]) -> None:
    a, b = hosts
    b.bury(b.order(epoch=5))
    a.tombstones = dict(b.tombstones)  # a shows b's signed order to destroy as its own
    b.tombstones = {}
    a.hold(a.order(2))
    b.hold(b.order(epoch=5, serial=9))
    assert guest_id() in holders(chosen(a, b))


def test_most_hosts_say_what_a_cluster_is(hosts: tuple[HostStore, HostStore]) -> None:
    liar = HostStore("0", settings=msgspec.structs.replace(SETTINGS, network=Network(bridge="evil")))
    choice = chosen(*hosts, liar)
    assert choice.clusters == {"lab": Network(bridge="br0")}
    assert kinds(choice) == [FindingKind.SETTINGS_DIFFER]
    assert set(choice.hosts) == {"a", "b", "0"}


def test_a_host_that_never_had_settings_is_told_of(hosts: tuple[HostStore, HostStore]) -> None:
    mute = HostStore("m", settings=None)
    choice = chosen(*hosts, mute)
    assert set(choice.hosts) == {"a", "b"}
    assert kinds(choice) == [FindingKind.SETTINGS_UNKNOWN]


def test_flavors_are_what_guests_of_them_got(hosts: tuple[HostStore, HostStore]) -> None:
    a, _ = hosts
    for number in range(1, 4):
        order = a.order(number, spec={"flavor": "small", "resources": None})
        if number == 1:  # from before the Flavor was changed
            order = msgspec.structs.replace(
                order, resources=msgspec.structs.replace(order.resources, cpu_millis=500)
            )
        a.hold(order)
    choice = chosen(a)
    assert choice.flavors == {"small": Amounts(1000, GIB, 4 * GIB)}
    assert kinds(choice) == [FindingKind.SETTINGS_DIFFER]
