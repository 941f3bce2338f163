"""A host that lost all that its kernel had: the agent makes its bridge anew, and its guests are where they were."""

from contextlib import ExitStack

import pytest
from prometheus_client import CollectorRegistry

from innkeeper.agent.net.adverts import Adverts
from innkeeper.agent.net.host_network import HostNetwork
from innkeeper.agent.net.network import Wanted
from innkeeper.agent.net.ports import ports_of
from innkeeper.clock import SystemClock
from innkeeper.domain.orders import OrderAddress
from innkeeper.views.host import ManagedBridge, Network
from tests.kit.agent_orders import order
from tests.kit.dhcp_client import ask
from tests.kit.host_net import HostNet, inside, ip, pings
from tests.kit.lab import until

pytestmark = pytest.mark.lab

OURS = "innkeeper0"
FOUR = order().addresses[0]
SIX = OrderAddress(
    interface="eth0", address="fd00:9::1", prefix_length=64, mac=FOUR.mac, gateway="fd00:9::ffff"
)
ORDER = order(addresses=[FOUR, SIX])
NAT = Network(managed=ManagedBridge(nat=True))
UPLINKED = Network(managed=ManagedBridge(uplink="eth0"))


def cable_up(site: HostNet, *, network: Network) -> list[str]:
    """Do what the admin's own settings do at each boot; return what a guest then reaches beyond its bridge."""
    ip("-n", site.host, "link", "set", "eth0", "nomaster")
    if network is UPLINKED:
        ip("-n", site.wire, "addr", "add", "10.0.0.2/24", "dev", "eth0")
        ip("-n", site.wire, "addr", "add", "fd00:9::2/64", "dev", "eth0", "nodad")
        return ["10.0.0.2", "fd00:9::2"]
    for number, namespace in enumerate((site.host, site.wire), start=1):
        ip("-n", namespace, "addr", "add", f"198.51.100.{number}/24", "dev", "eth0")
        ip("-n", namespace, "addr", "add", f"2001:db8:1::{number}/64", "dev", "eth0", "nodad")
    return ["10.0.0.1", "198.51.100.2", "fd00:9::ffff", "2001:db8:1::2"]


async def starts(site: HostNet, network: HostNetwork, wanted: Wanted) -> str:
    """Start the guest as an agent does that was started itself; it takes all that it uses by DHCP and advertisements."""
    await network.set_right(wanted)
    (interface,) = await network.prepare(ORDER, lambda: wanted)
    (port,) = ports_of(ORDER, wanted.network)
    guest = site.plug(port, bridge=interface.bridge)
    ip("netns", "exec", guest, "sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=1")
    four, six = ask(site, guest, "-4"), ask(site, guest, "-6")
    ip("-n", guest, "addr", "add", f"{four['new_ip_address']}/24", "dev", "eth0")
    ip("-n", guest, "addr", "add", f"{six['new_ip6_address']}/128", "dev", "eth0", "nodad")
    ip("-n", guest, "route", "add", "default", "via", four["new_routers"])
    Adverts().send([port], router=lambda each: network._routers.get(each.segment))
    until(lambda: "fd00:9::/64" in ip("-6", "-n", guest, "route", "show"), what="its network")
    return guest


@pytest.mark.parametrize("network", [NAT, UPLINKED], ids=["NAT", "an uplink"])
async def test_a_managed_bridge_is_there_again_after_a_reboot(site: HostNet, network: Network) -> None:
    """Both families, by what the agent kept on disk and by nothing else: a pid file of before names another process."""
    wanted = Wanted(network, (ORDER,))
    with ExitStack() as boots:
        for boot in range(2):
            if boot:
                site.reboot()
                boots.enter_context(inside(site.host))
            far = cable_up(site, network=network)
            agent = HostNetwork(site.directory / "network", clock=SystemClock(), registry=CollectorRegistry())
            guest = await starts(site, agent, wanted)
            for each in far:
                assert pings(guest, each), f"{each}, boot {boot}"
