"""Equal guests that lack room and an address, both of which come and go: few look each time, and none waits in vain."""

from collections import deque
from typing import Any

import pytest

from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.quantity import Amounts
from innkeeper.kube.informer import Change, Key, key_of
from innkeeper.state.backlog import rank_of
from innkeeper.state.subset import Subset
from innkeeper.views.guest import Guest
from innkeeper.views.host import Host
from innkeeper.views.meta import View
from innkeeper.views.network import IPAddress, IPPool
from innkeeper.workers.scheduler import SchedulerWorker
from tests.kit import objects
from tests.kit.clock import ManualClock

EQUAL = 200
FEW = 3
SIZE = Amounts(1000, 1 << 20, 1 << 20)
BY_LABELS = {"name": "eth0", "addresses": [{"poolSelector": {"matchLabels": {"net": "x"}}}]}


class Crowd:
    """Pools `p1` of `c1` and `p2` of `c2`, where no host has room and `p2` no address; guests look as in the flow."""

    def __init__(self, interface: dict[str, Any]) -> None:
        self.subset = Subset()
        self.scheduler = SchedulerWorker(self.subset, ManualClock())
        self.interface = interface
        self.placed: list[str] = []
        self._woken: deque[Key] = deque()
        for number, bits in ((1, 16), (2, 29)):
            made = objects.pool(f"p{number}", cidr=f"10.{number}.0.0/{bits}", gateway=None, dns=[])
            made["metadata"]["labels"] = {"net": "x"}
            made["spec"]["clusters"] = [f"c{number}"]
            self.take(made, IPPool)
            self.room_in(f"c{number}", cpus=0)
        for last in range(1, 7):
            self.take(self._address(last), IPAddress)
        self.subset.on_guest = self._wake

    def take(self, document: dict[str, Any], kind: type[View]) -> None:
        made = objects.view(document, kind)
        self.subset.apply(Change(key_of(made), None, made))

    def _wake(self, key: Key) -> None:
        if key not in self._woken and key[1] not in self.placed:
            self._woken.append(key)

    @staticmethod
    def _address(last: int) -> dict[str, Any]:
        made = objects.address(last, owner="somebody", pool="p2")
        made["metadata"]["name"] = f"default.10-2-0-{last}"
        made["spec"]["address"] = f"10.2.0.{last}"
        return made

    def guests_come(
        self,
        *numbers: int,
        interface: dict[str, Any] | None = None,
        interfaces: list[dict[str, Any]] | None = None,
    ) -> None:
        for number in numbers:
            spec = {"interfaces": interfaces or [interface or self.interface]}
            created = f"2026-01-01T{number // 60:02}:{number % 60:02}:00Z"
            made = objects.guest(f"g{number:03}", number=number, spec=spec, creationTimestamp=created)
            self.take(made, Guest)

    def room_in(self, cluster: str, *, cpus: int) -> None:
        self.take(objects.host(f"in-{cluster}", cluster=cluster, cpu=str(cpus)), Host)

    def address_is_freed(self, last: int) -> None:
        gone = objects.view(self._address(last), IPAddress)
        self.subset.apply(Change(key_of(gone), gone, None))

    def address_is_taken(self, last: int) -> None:
        self.take(self._address(last), IPAddress)

    def looks(self) -> int:
        """Let everybody look whose turn it is; return how many decisions that took."""
        count = 0
        while self._woken or self.subset.fleet.gains:
            for keys in self.subset.backlog.helped():
                for key in keys:
                    self._wake(key)
            while self._woken:
                self._look(self._woken.popleft())
                count += 1
        return count

    def _look(self, key: Key) -> None:
        guest, subset = self.subset.guests[key], self.subset
        found = self.scheduler.place(guest, amounts=SIZE)
        if not isinstance(found, Blocked):
            self.placed.append(key[1])
            if found.cluster == "c2" and found.wanted[0].held is None:
                self.address_is_taken(next(last for last in range(1, 7) if self._is_free(last)))
            subset.stop_waiting(key)
            return
        request = found.waits_for_room
        if subset.backlog.stands(key, found.keeps_line):
            request = found.keeps_line
        if request is None:
            subset.leave_backlog(key)
        else:
            subset.wait_for_room(key, request, rank_of(guest))
        subset.wait_for(key, found.causes, rank=rank_of(guest), needs=found.needs)

    def _is_free(self, last: int) -> bool:
        return f"default.10-2-0-{last}" not in self.subset.claims.by_name


@pytest.fixture(params=[BY_LABELS, {"name": "eth0", "pool": "p2"}], ids=["by labels", "by name"])
def crowd(request: pytest.FixtureRequest) -> Crowd:
    """Let equal guests look for the first time."""
    made = Crowd(request.param)
    made.guests_come(*range(EQUAL))
    assert made.looks() == EQUAL
    return made


def test_an_address_without_room_and_room_without_an_address_wake_few(crowd: Crowd) -> None:
    crowd.address_is_freed(3)
    first = crowd.looks()
    for _ in range(3):
        crowd.address_is_taken(3)
        crowd.room_in("c2", cpus=8)
        assert crowd.looks() <= FEW
        crowd.room_in("c2", cpus=0)
        crowd.address_is_freed(3)
        assert crowd.looks() <= FEW
    assert not crowd.placed
    # Those who asked for an address alone learn once that there is no room either.
    assert first <= (FEW if crowd.interface is BY_LABELS else EQUAL)


@pytest.mark.parametrize("first", ["address", "room"])
def test_the_first_is_placed_once_room_and_an_address_are_there(crowd: Crowd, first: str) -> None:
    for one in (first, "room" if first == "address" else "address"):
        assert not crowd.placed
        if one == "room":
            crowd.room_in("c2", cpus=8)
        else:
            crowd.address_is_freed(3)
        crowd.looks()
    assert crowd.placed == ["g000"]
    crowd.address_is_freed(4)
    crowd.address_is_freed(5)
    crowd.looks()
    assert crowd.placed == ["g000", "g001", "g002"]


def test_who_asks_for_a_pool_by_name_gets_its_address_though_others_stand_before_it() -> None:
    crowd = Crowd(BY_LABELS)
    crowd.guests_come(0, 1)
    crowd.guests_come(2, interface={"name": "eth0", "pool": "p2"})
    crowd.looks()
    crowd.address_is_freed(3)
    crowd.looks()
    crowd.address_is_taken(3)
    crowd.room_in("c2", cpus=1)
    crowd.looks()
    # Of all who could use it the oldest gets it, and who stands behind it has a look.
    crowd.address_is_freed(3)
    crowd.looks()
    assert crowd.placed == ["g000"]
    crowd.room_in("c1", cpus=1)
    crowd.looks()
    assert crowd.placed == ["g000", "g001"]
    crowd.room_in("c2", cpus=8)
    crowd.address_is_freed(4)
    crowd.looks()
    assert crowd.placed == ["g000", "g001", "g002"]


def test_who_asks_for_a_certain_address_is_not_kept_by_one_that_leaves_the_last_to_another() -> None:
    crowd = Crowd({"name": "eth0", "pool": "p2"})
    for last in (3, 4):
        crowd.address_is_freed(last)
    crowd.guests_come(1)
    crowd.guests_come(2, interface={"name": "eth0", "addresses": [{"pool": "p2", "address": "10.2.0.3"}]})
    crowd.looks()
    crowd.address_is_taken(4)
    crowd.looks()
    # The oldest, which needs two addresses: the only one that is left is kept for it.
    crowd.guests_come(0, interfaces=[{"name": name, "pool": "p2"} for name in ("eth0", "eth1")])
    crowd.looks()
    crowd.room_in("c2", cpus=8)
    crowd.looks()
    assert crowd.placed == ["g002"]


def test_a_guest_with_a_claim_of_its_own_is_not_kept_by_those_that_have_none() -> None:
    crowd = Crowd(BY_LABELS)
    crowd.address_is_freed(6)
    crowd.guests_come(0, 1)
    mine = objects.address(6, owner=objects.guest_id(1), pool="p2")
    mine["metadata"]["name"] = "default.10-2-0-6"
    mine["spec"]["address"] = "10.2.0.6"
    crowd.take(mine, IPAddress)
    crowd.looks()
    crowd.room_in("c2", cpus=1)
    crowd.looks()
    assert crowd.placed == ["g001"]


def test_who_is_given_a_reservation_is_not_kept_by_one_that_finds_no_address() -> None:
    crowd = Crowd(BY_LABELS)
    made = objects.pool("p2", cidr="10.2.0.0/29", gateway=None, dns=[], clusters=["c2"], exclude=["10.2.0.6"])
    made["metadata"]["labels"] = {"net": "x"}
    crowd.take(made, IPPool)
    crowd.address_is_freed(6)
    crowd.guests_come(0, 1)
    crowd.looks()
    crowd.room_in("c2", cpus=8)
    assert crowd.looks() <= FEW
    assert not crowd.placed
    made["spec"]["reservations"] = [
        {"address": "10.2.0.6", "owner": "default/g001", "reason": "it is its own"}
    ]
    crowd.take(made, IPPool)
    crowd.looks()
    assert crowd.placed == ["g001"]
