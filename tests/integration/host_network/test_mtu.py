"""Large frames: what the agent plugs into a bridge makes it no smaller, and one that is too small is told."""

import re

import pytest

from innkeeper.agent.net.host_network import HostNetwork
from innkeeper.agent.net.links import LinkError
from innkeeper.agent.net.network import Wanted
from innkeeper.agent.net.ports import ports_of
from innkeeper.views.host import Network
from tests.kit.agent_orders import order
from tests.kit.host_net import BRIDGE, HostNet, ip

pytestmark = pytest.mark.lab

LARGE = 9000


def mtu_of(site: HostNet, device: str) -> int:
    """Return a device's MTU in bytes."""
    found = re.search(r" mtu (\d+) ", ip("-n", site.host, "-o", "link", "show", device))
    assert found is not None
    return int(found[1])


@pytest.fixture
def large(site: HostNet) -> HostNet:
    """Give a host whose bridge has the MTU of its only port, as nobody set its own."""
    for namespace in (site.wire, site.host):
        ip("-n", namespace, "link", "set", "eth0", "mtu", str(LARGE))
    assert mtu_of(site, BRIDGE) == LARGE
    return site


@pytest.mark.parametrize("mtu", [None, 1400, LARGE])
async def test_the_first_guest_makes_the_admins_bridge_no_smaller(
    large: HostNet, network: HostNetwork, mtu: int | None
) -> None:
    """Everything else on that bridge would lose its large frames."""
    wanted = Wanted(Network(bridge=BRIDGE, mtu=mtu), (order(),))
    for _ in range(2):
        await network.set_right(wanted)
        assert mtu_of(large, BRIDGE) == LARGE
    (port,) = ports_of(order(), wanted.network)
    assert {mtu_of(large, each) for each in (port.segment.server, port.segment.inner)} == {LARGE}


async def test_a_small_cable_of_before_is_enlarged(large: HostNet, network: HostNetwork) -> None:
    """An older agent made it so, and the bridge became as small."""
    wanted = Wanted(Network(bridge=BRIDGE, mtu=LARGE), (order(),))
    await network.set_right(wanted)
    (port,) = ports_of(order(), wanted.network)
    for each in (port.segment.server, port.segment.inner):
        ip("-n", large.host, "link", "set", each, "mtu", "1500")
    assert mtu_of(large, BRIDGE) == 1500
    await network.set_right(wanted)
    assert mtu_of(large, BRIDGE) == LARGE


async def test_a_larger_mtu_reaches_the_taps_of_guests_that_run(site: HostNet, network: HostNetwork) -> None:
    """The bridge would stay as small as the oldest of them, and no guest would be sent to this host any more."""
    await network.set_right(Wanted(Network(bridge=BRIDGE), (order(),)))
    (port,) = ports_of(order(), Network(bridge=BRIDGE))
    site.plug(port)
    for namespace in (site.wire, site.host):
        ip("-n", namespace, "link", "set", "eth0", "mtu", str(LARGE))
    assert mtu_of(site, BRIDGE) == 1500
    await network.set_right(Wanted(Network(bridge=BRIDGE, mtu=LARGE), (order(),)))
    assert [mtu_of(site, each) for each in (port.device, BRIDGE)] == [LARGE, LARGE]
    await network.set_right(Wanted(Network(bridge=BRIDGE, mtu=1400), (order(),)))
    assert [mtu_of(site, each) for each in (port.device, BRIDGE)] == [LARGE, LARGE]


async def test_a_bridge_that_was_made_anew_gets_its_size_back(large: HostNet, network: HostNetwork) -> None:
    """The agent may look between the making of the bridge and the coming of its uplink."""
    wanted = Wanted(Network(bridge=BRIDGE), (order(),))
    await network.set_right(wanted)
    ip("-n", large.host, "link", "delete", BRIDGE)
    ip("-n", large.host, "link", "add", BRIDGE, "type", "bridge")
    await network.set_right(wanted)
    ip("-n", large.host, "link", "set", "eth0", "master", BRIDGE)
    await network.set_right(wanted)
    assert mtu_of(large, BRIDGE) == LARGE


async def test_a_bridge_that_is_too_small_is_told(site: HostNet, network: HostNetwork) -> None:
    """Guests are told an MTU that it drops the frames of; those that run are served."""
    wanted = Wanted(Network(bridge=BRIDGE, mtu=LARGE), (order(),))
    await network.prepare(order(), lambda: wanted)
    with pytest.raises(LinkError, match=r"'br0' has the MTU 1500, less than the 9000.*'eth0'"):
        await network.set_right(wanted)
    for namespace in (site.wire, site.host):
        ip("-n", namespace, "link", "set", "eth0", "mtu", str(LARGE))
    await network.set_right(wanted)


@pytest.mark.parametrize(("mtu", "found"), [(None, LARGE), (4000, 4000), (LARGE, LARGE)])
async def test_a_vlan_carries_what_its_bridge_does(
    large: HostNet, network: HostNetwork, mtu: int | None, found: int
) -> None:
    tagged = Network(bridge=BRIDGE, vlan=5, mtu=mtu)
    missing = await network.missing(order(), tagged)
    if missing is not None:
        pytest.skip(missing)
    (port,) = ports_of(order(), tagged)
    for _ in range(2):
        await network.set_right(Wanted(tagged, (order(),)))
        assert [mtu_of(large, each) for each in (port.segment.bridge, port.segment.tagged)] == [found, found]
        assert mtu_of(large, BRIDGE) == LARGE
