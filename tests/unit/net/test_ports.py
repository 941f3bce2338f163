"""Names and segments of a guest's ports: known before anything exists, and within what the kernel allows."""

import msgspec
import pytest

from innkeeper.agent.net.ports import Segment, ports_of, segments_of
from innkeeper.domain.orders import OrderAddress, OrderInvalidError
from innkeeper.views.host import ManagedBridge, Network
from tests.kit.agent_orders import order

BRIDGE = Network(bridge="br0")


def address(interface: str = "eth0", **changes: object) -> OrderAddress:
    return msgspec.structs.replace(order().addresses[0], interface=interface, **changes)


def test_a_port_has_a_name_of_its_own_that_stays() -> None:
    one = order(addresses=[address("eth0"), address("eth1", address="10.0.0.12")])
    names = [port.device for port in ports_of(one, BRIDGE)]
    assert names == [port.device for port in ports_of(one, Network(bridge="other", vlan=7))]
    others = [port.device for port in ports_of(order(2), BRIDGE)]
    assert len({*names, *others}) == 3
    assert all(len(name) == 15 and name.startswith("ikt") for name in names)


@pytest.mark.parametrize("vlan", [None, 1, 4094])
def test_every_name_fits_into_the_kernel(vlan: int | None) -> None:
    segment = Segment("a-bridge.name_x", vlan)
    assert all(len(name) <= 15 for name in (segment.bridge, segment.tagged, segment.server, segment.inner))
    assert len({segment.bridge, segment.tagged, segment.server, segment.inner}) == 4


def test_a_vlan_of_the_address_goes_before_that_of_the_cluster() -> None:
    tagged = Network(managed=ManagedBridge(), vlan=5)
    assert [port.segment for port in ports_of(order(), tagged)] == [Segment("innkeeper0", 5)]
    own = order(addresses=[address(vlan=7)])
    assert [port.segment for port in ports_of(own, tagged)] == [Segment("innkeeper0", 7)]


def test_the_smallest_mtu_counts() -> None:
    one = order(addresses=[address(mtu=1400), address(address="fd00::1", mtu=1300)])
    assert [port.mtu for port in ports_of(one, Network(bridge="br0", mtu=9000))] == [1300]
    assert [port.mtu for port in ports_of(order(), Network(bridge="br0", mtu=9000))] == [9000]


def test_an_interface_is_plugged_in_once() -> None:
    two = order(addresses=[address(vlan=5), address(address="fd00::1", vlan=6)])
    with pytest.raises(OrderInvalidError, match="more than one VLAN"):
        ports_of(two, BRIDGE)


def test_segments_are_named_once() -> None:
    ports = [*ports_of(order(1), BRIDGE), *ports_of(order(2), BRIDGE)]
    assert segments_of(ports) == [Segment("br0", None)]
