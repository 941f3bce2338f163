"""Many pools with the labels that a guest asks for: what is asked of pools and hosts is counted, no time is measured."""

from collections.abc import Callable
from typing import Any

import pytest

from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.quantity import Amounts
from innkeeper.domain.reasons import GuestReason
from innkeeper.domain.scheduling import cycle
from innkeeper.domain.scheduling.selectors import Selector
from innkeeper.kube.informer import Change, key_of
from innkeeper.state import waiting
from innkeeper.state.subset import Subset
from innkeeper.views.catalog import Cluster
from innkeeper.views.guest import Guest
from innkeeper.views.host import Host
from innkeeper.views.meta import View
from innkeeper.views.network import IPPool
from innkeeper.workers.pool_choice import MOST_LOOKS
from innkeeper.workers.scheduler import Placed, SchedulerWorker
from innkeeper.workers.shortage import Shortage
from tests.kit import objects
from tests.kit.clock import ManualClock

MANY = 64
SIZE = Amounts(1000, 1 << 20, 1 << 20)
BLUE: dict[str, Any] = {"poolSelector": {"matchLabels": {"net": "blue"}}}
RED: dict[str, Any] = {"poolSelector": {"matchLabels": {"net": "red"}}}


class Calls:
    """Counts the calls of a function, which still does its work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> None:
        self.count = 0
        work: Callable[..., Any] = getattr(owner, name)

        def called(*args: Any, **named: Any) -> Any:
            self.count += 1
            return work(*args, **named)

        monkeypatch.setattr(owner, name, called)

    def taken(self) -> int:
        """Return how many calls there were since the last time."""
        count, self.count = self.count, 0
        return count


def take(subset: Subset, document: dict[str, Any], kind: type[View]) -> None:
    made = objects.view(document, kind)
    subset.apply(Change(key_of(made), None, made))


def add_pool(subset: Subset, number: int, *, net: str = "blue", free: bool = True, **spec: Any) -> None:
    network = (
        f"10.{number // 200}.{number % 200}" if net == "blue" else f"10.{100 + number // 200}.{number % 200}"
    )
    nothing = {} if free else {"exclude": [f"{network}.{last}" for last in range(1, 7)]}
    made = objects.pool(
        f"{net}-{number:03}", **{"cidr": f"{network}.0/29", "gateway": None, "dns": [], **nothing, **spec}
    )
    made["metadata"]["labels"] = {"net": net}
    take(subset, made, IPPool)


def guest(number: int = 1, *interfaces: list[dict[str, Any]]) -> Guest:
    asked = [{"name": f"eth{at}", "addresses": each} for at, each in enumerate(interfaces or ([BLUE],))]
    made = objects.guest(f"g{number}", number=number, spec={"interfaces": asked})
    return objects.view(made, Guest)


def clusters(by: str, roomy: int | None) -> Subset:
    """Return 64 clusters with a pool and a host each; one of the hosts has room, or none."""
    subset = Subset()
    for number in range(MANY):
        labels = {"zone": f"z{number}"}
        take(subset, objects.cluster(f"c{number:02}", labels=labels), Cluster)
        served = (
            {"clusters": [f"c{number:02}"]} if by == "list" else {"clusterSelector": {"matchLabels": labels}}
        )
        add_pool(subset, number, **served)
        cpu = "8000" if number == roomy else "0"
        take(subset, objects.host(f"h{number:02}", cluster=f"c{number:02}", cpu=cpu), Host)
    return subset


@pytest.mark.parametrize("by", ["list", "selector"])
@pytest.mark.parametrize(
    ("roomy", "most_looks", "most_scans"),
    [(0, 1, 1), (MANY - 1, 1 + MANY, 9), (None, 1, 0)],
    ids=["first", "last", "nowhere"],
)
def test_equal_guests_ask_few_pools_and_hosts_however_many_pools_have_the_labels(
    by: str, roomy: int | None, most_looks: int, most_scans: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    subset = clusters(by, roomy)
    scheduler = SchedulerWorker(subset, ManualClock())
    scheduler.place(guest(0), amounts=SIZE)
    looks = Calls(monkeypatch, Shortage, "of")
    matches = Calls(monkeypatch, Selector, "matches")
    scans = Calls(monkeypatch, cycle, "ranked")
    for number in range(1, 20):
        found = scheduler.place(guest(number), amounts=SIZE)
        where = found.host if isinstance(found, Placed) else found.reason
        assert where == (GuestReason.NO_HOST_FITS if roomy is None else f"h{roomy:02}")
        assert looks.taken() <= most_looks
        assert scans.taken() <= most_scans, "what fits nowhere is not asked of hosts again"
        assert matches.taken() == 0, "labels are not read again for each guest"


@pytest.mark.parametrize("by", ["list", "selector"])
def test_a_first_guest_reads_the_labels_of_each_pool_and_cluster_once(
    by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    subset = clusters(by, None)
    matches = Calls(monkeypatch, Selector, "matches")
    scans = Calls(monkeypatch, cycle, "ranked")
    SchedulerWorker(subset, ManualClock()).place(guest(), amounts=SIZE)
    assert matches.taken() <= MANY + MANY * MANY
    assert scans.taken() == 2, "the first way, and all clusters at once"


def test_what_pools_and_clusters_serve_now_counts() -> None:
    subset = clusters("selector", MANY - 1)
    scheduler = SchedulerWorker(subset, ManualClock())
    assert isinstance(scheduler.place(guest(1), amounts=SIZE), Placed)
    old = subset.clusters[f"c{MANY - 1}"]
    new = objects.view(objects.cluster(f"c{MANY - 1}", labels={"zone": "other"}), Cluster)
    subset.apply(Change(key_of(new), old, new))
    assert isinstance(scheduler.place(guest(2), amounts=SIZE), Blocked)
    add_pool(subset, 500)
    found = scheduler.place(guest(3), amounts=SIZE)
    assert isinstance(found, Placed)
    assert [each.name for each in found.wanted] == ["blue-500"]


def everywhere(nets: dict[str, int], *, spare: int) -> Subset:
    """Return pools that serve all clusters, of each net so many; the `spare` last ones alone have addresses."""
    subset = Subset()
    for net, count in nets.items():
        for number in range(count):
            add_pool(subset, number, net=net, free=number >= count - spare)
    take(subset, objects.host("h", cpu="8000"), Host)
    return subset


def test_the_last_of_many_pools_is_found() -> None:
    subset = everywhere({"blue": 300}, spare=1)
    found = SchedulerWorker(subset, ManualClock()).place(guest(), amounts=SIZE)
    assert isinstance(found, Placed)
    assert [each.name for each in found.wanted] == ["blue-299"]


def test_the_last_of_many_pools_is_found_for_each_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    subset = everywhere({"blue": 300, "red": 300}, spare=1)
    looks = Calls(monkeypatch, Shortage, "of")
    found = SchedulerWorker(subset, ManualClock()).place(guest(1, [BLUE], [RED]), amounts=SIZE)
    assert isinstance(found, Placed)
    assert [each.name for each in found.wanted] == ["blue-299", "red-299"]
    assert looks.taken() <= 3 * 300


def test_pools_that_give_nothing_are_not_asked_beside_each_other_one(monkeypatch: pytest.MonkeyPatch) -> None:
    subset = everywhere({"blue": 300, "red": 0}, spare=300)
    for number in range(300):
        add_pool(subset, number, net="red", free=False)
    looks = Calls(monkeypatch, Shortage, "of")
    found = SchedulerWorker(subset, ManualClock()).place(guest(1, [BLUE], [RED]), amounts=SIZE)
    assert isinstance(found, Blocked)
    assert "red-" in found.message
    assert looks.taken() <= 2 * 300 + 300 + MOST_LOOKS


def test_pools_that_were_not_tried_are_told_of_and_waited_for() -> None:
    subset = everywhere({"blue": 300, "red": 1}, spare=300)
    found = SchedulerWorker(subset, ManualClock()).place(guest(1, [BLUE, RED]), amounts=SIZE)
    assert isinstance(found, Blocked)
    assert found.reason is GuestReason.POOLS_OF_ONE_FAMILY
    assert f"its pools make more combinations than the {MOST_LOOKS} that were tried" in found.message
    assert {waiting.spec_of_pool(f"blue-{number:03}") for number in range(300)} <= set(found.causes)


def test_a_guest_that_fits_in_the_last_of_many_clusters_alone_is_placed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subset = Subset()
    for number in range(300):
        served = [f"c{number:03}"]
        add_pool(subset, number, clusters=served)
        add_pool(subset, number, net="red", free=number == 299, clusters=served)
    take(subset, objects.host("h", cluster="c299", cpu="8000"), Host)
    looks = Calls(monkeypatch, Shortage, "of")
    found = SchedulerWorker(subset, ManualClock()).place(guest(1, [BLUE], [RED]), amounts=SIZE)
    assert isinstance(found, Placed)
    assert [each.name for each in found.wanted] == ["blue-299", "red-299"]
    assert looks.taken() <= 2 * MOST_LOOKS + 3 * 300


def test_a_guest_whose_pools_stand_together_in_one_of_many_clusters_is_placed() -> None:
    subset = Subset()
    for number in range(300):
        add_pool(subset, number, clusters=[f"c{number:03}"])
    add_pool(subset, 299, net="red", clusters=["c299"])
    take(subset, objects.host("h", cluster="c299", cpu="8000"), Host)
    found = SchedulerWorker(subset, ManualClock()).place(guest(1, [BLUE], [RED]), amounts=SIZE)
    assert isinstance(found, Placed)
    assert [each.name for each in found.wanted] == ["blue-299", "red-299"]
