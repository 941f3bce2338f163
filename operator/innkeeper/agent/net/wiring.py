"""The links of one segment: its bridge, the VLAN under it, the DHCP server's cable, and the gateway under NAT."""

import ipaddress
from collections.abc import Iterable

from innkeeper.agent.net import dhcp, gateway
from innkeeper.agent.net.links import Link, Links
from innkeeper.agent.net.ports import INNER_PREFIX, PORT_PREFIX, SERVER_PREFIX, Port, Segment
from innkeeper.agent.store.records import AddressInUse
from innkeeper.views.host import Network

_VLAN_PREFIXES = ("ikv", "ikl")


async def bridge(links: Links, segment: Segment, network: Network) -> Link:
    """Have the bridge that guests of a segment are plugged into.

    Raises:
        LinkError: it is not there and not ours to make, or the kernel refuses.
    """
    managed = network.managed
    if managed is None:
        base = links.existing_bridge(segment.base)
    else:
        base = await links.bridge(segment.base, mtu=network.mtu)
        if managed.uplink is not None:
            await links.uplink(managed.uplink, bridge=base)
    if segment.vlan is None:
        return base
    tagged = await links.bridge(segment.bridge)
    await links.vlan(segment.tagged, over=segment.base, vlan=segment.vlan, bridge=tagged)
    return tagged


async def wire(links: Links, segment: Segment, network: Network, ports: Iterable[Port]) -> Link:
    """Have all links of a segment with guests; return its bridge.

    Raises:
        LinkError: the kernel refuses.
    """
    found = list(ports)
    there = await bridge(links, segment, network)
    inner = await links.cable(segment.server, segment.inner, bridge=there)
    await links.address(inner, dhcp.SERVER_ADDRESS, 32)
    for own in (each.own for each in dhcp.served(found)):
        if own is not None:
            await links.address(inner, *own, route=False)
    if network.managed is not None and network.managed.nat:
        await gateway.become(links, there, found)
    return there


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


async def own_conflict(links: Links, bridge: Link, addresses: Iterable[str]) -> AddressInUse | None:
    """Return the address that this host itself has on the bridge: its own questions it would not answer."""
    own = {ipaddress.ip_address(address) for address, _ in [each async for each in links.addresses(bridge)]}
    taken = [each for each in addresses if ipaddress.ip_address(each) in own]
    return AddressInUse(taken[0], bridge.mac) if taken else None
