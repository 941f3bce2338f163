"""A guest with one address on two interfaces, each from an address space of its own: both are its own after a rebuild."""

from collections.abc import Mapping

import msgspec
import pytest

from innkeeper.domain import names
from innkeeper.domain.orders import Order
from innkeeper.domain.rebuild.findings import FindingKind
from innkeeper.kube.resources import IP_ADDRESSES, IP_POOLS
from innkeeper.views.network import IPAddress
from tests.kit.agent_orders import guest_id
from tests.kit.host_stores import HostStore
from tests.kit.objects import pool, view
from tests.scenario.rebuild.conftest import Scene, kinds

WANTED = {"pa.10.0.0.20": "eth0", "pb.10.0.0.20": "eth1"}


def two(host: HostStore, *, spaces: Mapping[str, str] | None = None) -> Order:
    """Return an order of both; `spaces` says by interface what the order names as address space and pool."""
    spaces = {"eth0": "pa", "eth1": "pb"} if spaces is None else spaces
    order = host.order()
    addresses = [
        msgspec.structs.replace(
            order.addresses[0],
            interface=interface,
            address="10.0.0.20",
            mac=names.mac_of(guest_id(), interface),
            vlan=vlan,
            space=spaces.get(interface, ""),
            pool=spaces.get(interface, ""),
        )
        for interface, vlan in (("eth0", None), ("eth1", 7))
    ]
    return msgspec.structs.replace(order, addresses=addresses)


def claims(scene: Scene) -> dict[str, str]:
    """Return for which interface each address is held."""
    found = (view(each, IPAddress) for each in scene.api.objects(IP_ADDRESSES))
    return {each.metadata.name: each.spec.owner.interface for each in found if each.spec.owner}


def bound(scene: Scene) -> dict[str, str]:
    """Return of which pool the guest is bound on each interface."""
    return {each.interface: each.pool for each in scene.guests()[guest_id()].status.addresses}


async def test_both_are_claimed_and_bound(scene: Scene) -> None:
    host = scene.host("a")
    host.hold(two(host))
    outcome = await scene.run()
    assert outcome.findings == []
    assert outcome.is_complete
    assert claims(scene) == WANTED
    assert bound(scene) == {"eth0": "pa", "eth1": "pb"}
    scene.api.calls.clear()
    await scene.run()
    assert scene.api.writes() == []


@pytest.mark.parametrize("lost", sorted(WANTED))
async def test_one_that_is_lost_later_is_claimed_again(scene: Scene, lost: str) -> None:
    host = scene.host("a")
    host.hold(two(host))
    await scene.run()
    scene.api.patch(IP_ADDRESSES, lost, {"metadata": {"finalizers": None}})
    scene.api.delete(IP_ADDRESSES, lost)
    await scene.run()
    assert claims(scene) == WANTED


async def test_a_claim_that_names_the_other_interface_is_set_right(scene: Scene) -> None:
    """As in an older copy of the store: the interfaces had each other's address then."""
    host = scene.host("a")
    host.hold(two(host))
    await scene.run()
    for name, other in (("pa.10.0.0.20", "eth1"), ("pb.10.0.0.20", "eth0")):
        scene.api.patch(IP_ADDRESSES, name, {"spec": {"owner": {"interface": other}}})
    await scene.run()
    assert claims(scene) == WANTED


@pytest.mark.parametrize("named", [{}, {"eth0": "pa"}, {"eth1": "pb"}], ids=str)
async def test_an_order_that_names_no_pool_takes_none_for_another(
    scene: Scene, named: dict[str, str]
) -> None:
    """One pool is left that has the address: it may be of either interface, so the other one's is not known."""
    host = scene.host("a")
    host.hold(two(host, spaces=named))
    for name in {"pa", *named.values()}:
        scene.api.create(IP_POOLS, pool(name, cidr="10.0.0.0/24", gateway="10.0.0.1", addressSpace=name))
    outcome = await scene.run()
    assert kinds(outcome) == [FindingKind.NOT_CLAIMED]
    assert not outcome.is_complete
