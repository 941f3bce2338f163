"""Which bridges do not lead to the host itself."""

from innkeeper.agent.net.border import Border, border_of, table
from innkeeper.agent.net.ports import ports_of
from innkeeper.views.host import ManagedBridge, Network
from tests.kit.agent_orders import order


def test_the_admins_own_bridge_stays_as_it_is() -> None:
    network = Network(bridge="br0")
    border = border_of(ports_of(order(), network), network)
    assert border == Border()
    assert table(border) == ["add table inet innkeeper", "delete table inet innkeeper"]


def test_a_vlan_over_it_is_closed() -> None:
    network = Network(bridge="br0", vlan=5)
    (port,) = ports_of(order(), network)
    assert border_of([port], network) == Border(closed=(port.segment.bridge,))


def test_a_bridge_of_ours_is_closed_before_it_has_guests() -> None:
    assert border_of([], Network(managed=ManagedBridge())) == Border(closed=("innkeeper0",))
    tagged = Network(managed=ManagedBridge(uplink="eth0"), vlan=5)
    (port,) = ports_of(order(), tagged)
    assert border_of([port], tagged) == Border(closed=(port.segment.bridge, "innkeeper0"))


def test_a_gateway_is_reached_by_its_guests() -> None:
    network = Network(managed=ManagedBridge(nat=True))
    assert border_of(ports_of(order(), network), network) == Border(hidden=("10.0.0.0/24",))
