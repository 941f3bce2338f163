"""An empty API server, hosts that hold guests, and a rebuild between them."""

from collections.abc import AsyncIterator, Iterable

import pytest

from innkeeper.clock import SystemClock
from innkeeper.domain.rebuild.findings import FindingKind
from innkeeper.kube.client import Client
from innkeeper.kube.resources import ASSIGNMENTS, GUESTS, IP_ADDRESSES
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest
from innkeeper.views.network import IPAddress
from innkeeper.workers.rebuild.hearing import Hearing
from innkeeper.workers.rebuild.rebuild import Outcome, Rebuild
from tests.kit.agent_orders import KEYS
from tests.kit.fake_api import FakeApi
from tests.kit.host_stores import HostStore
from tests.kit.objects import view

USER = "operator"


class Scene:
    """What a test acts on and asks."""

    def __init__(self, api: FakeApi) -> None:
        self.api = api
        self.hosts: dict[str, HostStore] = {}
        self.workers = 4

    def host(self, name: str) -> HostStore:
        """Add a host."""
        made = self.hosts[name] = HostStore(name)
        return made

    def furnish(self, *, hosts: int = 2, guests: int = 6) -> None:
        """Make hosts that hold guests in turn, as the text of their orders says."""
        made = [self.host(f"h{number}") for number in range(hosts)]
        for number in range(1, guests + 1):
            host = made[number % hosts]
            host.hold(host.order(number, epoch=1 + number % 2, serial=number))

    def rebuild(self, client: Client) -> Rebuild:
        """Return a rebuild that asks all hosts."""
        hearing = Hearing(self.hosts.get, keys=KEYS, clock=SystemClock(), again_s=0.001, workers=self.workers)
        return Rebuild(client, hearing, clock=SystemClock())

    async def run(self, *, hosts: Iterable[str] | None = None) -> Outcome:
        """Run once, to the end."""
        async with Client(self.api.credentials(USER)) as client:
            return await self.rebuild(client).run(self.hosts if hosts is None else hosts)

    # What a test asks

    def guests(self) -> dict[str, Guest]:
        """Return all Guests by Guest ID."""
        found = (view(each, Guest) for each in self.api.objects(GUESTS))
        return {each.metadata.annotations["innkeeper.dev/id"]: each for each in found}

    def assignments(self) -> dict[str, Assignment]:
        """Return all Assignments by Guest ID."""
        found = (view(each, Assignment) for each in self.api.objects(ASSIGNMENTS))
        return {each.metadata.name: each for each in found}

    def addresses(self) -> dict[str, str]:
        """Return whose each address is, by Guest ID."""
        found = (view(each, IPAddress) for each in self.api.objects(IP_ADDRESSES))
        return {each.spec.address: each.spec.owner.id for each in found if each.spec.owner}

    def assert_as_hosts_hold(self) -> None:
        """Every guest of every host is there once, with the host's own order, its addresses and its place."""
        held = {guest_id: host for host in self.hosts.values() for guest_id in host.guests}
        assert set(self.guests()) == set(held)
        assert set(self.assignments()) == set(held)
        assert sorted(self.addresses().values()) == sorted(held)
        for guest_id, host in held.items():
            guest, assignment = self.guests()[guest_id], self.assignments()[guest_id]
            assert assignment.spec.order == host.guests[guest_id].order
            assert assignment.metadata.namespace == f"host-{host.host}"
            assert (guest.status.host, guest.status.cluster) == (host.host, "lab")
            assert (guest.status.epoch, assignment.spec.epoch) == (assignment.spec.epoch, guest.status.epoch)
            assert [each.address for each in guest.status.addresses] == assignment.spec.addresses
            assert all(self.addresses()[each] == guest_id for each in assignment.spec.addresses)


def kinds(outcome: Outcome) -> list[FindingKind]:
    """Return the kinds of what was found."""
    return [each.kind for each in outcome.findings]


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """Give an empty API server."""
    async with FakeApi(bookmark_s=30) as api:
        yield Scene(api)
