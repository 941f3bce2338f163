"""The links of one segment: its bridge, the VLAN under it, the DHCP server's cable, and the gateway under NAT."""

import ipaddress
from collections.abc import Iterable

from innkeeper.agent.net import dhcp
from innkeeper.agent.net.links import Link, LinkError, Links
from innkeeper.agent.net.ports import INNER_PREFIX, PORT_PREFIX, SERVER_PREFIX, Port, Segment
from innkeeper.agent.net.presence import Presence
from innkeeper.agent.store.records import AddressInUse
from innkeeper.views.host import Network

_VLAN_PREFIXES = ("ikv", "ikl")


async def bridge(links: Links, segment: Segment, network: Network, *, presence: Presence) -> Link:
    """Have the bridge that guests of a segment are plugged into.

    Raises:
        LinkError: it is not there and not ours to make, or the kernel refuses.
    """
    managed = network.managed
    if managed is None:
        base = links.existing_bridge(segment.base)
    else:
        base = await links.bridge(segment.base, mtu=network.mtu)
        await presence.settle(links, base, is_gateway=network.is_behind_hosts)
        if managed.uplink is not None:
            await links.uplink(managed.uplink, bridge=base)
    if segment.vlan is None:
        return base
    # No device over a bridge takes larger frames than the bridge: `check_mtu` tells of that.
    mtu = min(network.mtu or base.mtu, base.mtu)
    tagged = await links.bridge(segment.bridge, mtu=mtu)
    await presence.settle(links, tagged, is_gateway=network.is_behind_hosts)
    await links.vlan(segment.tagged, over=segment.base, vlan=segment.vlan, bridge=tagged, mtu=mtu)
    return tagged


async def wire(
    links: Links, segment: Segment, ports: Iterable[Port], *, bridge: Link, network: Network
) -> None:
    """Have the DHCP server's cable of a segment with guests; it makes no bridge smaller than the network's MTU.

    Raises:
        LinkError: the kernel refuses.
    """
    mtu = max(bridge.mtu, network.mtu or 0)
    inner = await links.cable(segment.server, segment.inner, bridge=bridge, mtu=mtu)
    await links.address(inner, dhcp.SERVER_ADDRESS, 32)
    wanted = {each.own for each in dhcp.served(ports) if each.own is not None}
    for own in sorted(wanted):
        await links.address(inner, *own, route=False)
    # What the server had for a network that is served no more, or had by an older agent, may be a guest's.
    for each in [each async for each in links.addresses(inner)]:
        there = (each.address, each.prefix_length)
        if ":" in each.address and not each.address.startswith("fe80:") and there not in wanted:
            await links.remove_address(inner, *there)


async def unwire(links: Links, used: Iterable[Segment]) -> None:
    """Remove the links of ours that no segment with guests needs.

    A VLAN that a machine is plugged into stays: the Cluster's network was changed under it, and it is cut off by nobody.
    """
    segments = list(used)
    kept = {name for each in segments for name in (each.bridge, each.tagged, each.server, each.inner)}
    occupied = {link.master for link in links if link.name.startswith(PORT_PREFIX)}
    for link in list(links):
        ours = link.name.startswith((SERVER_PREFIX, INNER_PREFIX, *_VLAN_PREFIXES))
        if ours and link.name not in kept and not occupied & {link.index, link.master}:
            await links.remove(link.name)


def check_mac(links: Links, port: Port) -> None:
    """Look whether a guest's MAC is that of a link of this host: its bridge would keep the guest's frames for itself.

    Raises:
        LinkError: it is.
    """
    for link in links:
        if link.mac == port.mac and link.name != port.device:
            raise LinkError(
                f"this host's own link {link.name!r} has the MAC {port.mac} of the guest's interface "
                f"{port.interface!r}: give the interface another"
            )


async def check_mtu(links: Links, network: Network) -> None:
    """Look whether a bridge that is not ours takes frames as large as guests are told that they may send.

    Raises:
        LinkError: it does not.
    """
    there = links.get(network.base)
    if network.managed is not None or network.mtu is None or there is None:
        return
    bridge = await links.refreshed(there)
    if bridge.mtu >= network.mtu:
        return
    smallest = min(
        (link for link in links if link.master == bridge.index), key=lambda each: each.mtu, default=bridge
    )
    raise LinkError(
        f"the bridge {bridge.name!r} has the MTU {bridge.mtu}, less than the {network.mtu} of the Cluster's network; "
        f"its smallest port is {smallest.name!r} with {smallest.mtu}: raise them, or lower the Cluster's"
    )


async def own_conflict(links: Links, addresses: Iterable[str]) -> AddressInUse | None:
    """Return the address that this host itself has, on whatever link: its own questions it would not answer."""
    by_index = {link.index: link for link in links if not link.name.startswith(INNER_PREFIX)}
    own = {
        ipaddress.ip_address(each.address): by_index[each.index]
        for each in [each async for each in links.addresses()]
        if each.index in by_index
    }
    for each in addresses:
        link = own.get(ipaddress.ip_address(each))
        if link is not None:
            return AddressInUse(each, link.mac)
    return None
