"""What the host itself is on a bridge of ours: its guests' gateway under NAT, and else nobody (sysctl, netlink).

It takes no router and no address from the machines there, and answers ARP for that bridge's addresses alone. Where it is
no gateway it has no address there that the kernel made, whoever let it; one that an admin gave it stays.
"""

import ipaddress
from collections.abc import Iterable

import structlog

from innkeeper.agent.net import sysctl
from innkeeper.agent.net.links import Address, Link, LinkError, Links
from innkeeper.agent.net.port_rules import link_local

_FROM_MAC, _NONE = "0", "1"  # of addr_gen_mode
_BY_ADVERTISEMENT, _BY_LINK = 2, 3  # of the kernel's protocols of addresses

log = structlog.get_logger()


class Presence:
    """The host on its bridges."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    async def settle(self, links: Links, bridge: Link, *, is_gateway: bool) -> None:
        """Have the kernel keep to it. What it refuses where the host is nobody the border makes good (border.py).

        Raises:
            LinkError: the kernel refuses, and the host is the gateway.
        """
        refused: list[str] = []
        # Else it answers for all addresses that it has.
        _put(f"ipv4/conf/{bridge.name}/arp_ignore", "1", refused)
        heard_routers = _put(f"ipv6/conf/{bridge.name}/accept_ra", "0", refused)
        _put(f"ipv6/conf/{bridge.name}/addr_gen_mode", _FROM_MAC if is_gateway else _NONE, refused)
        if is_gateway and refused:
            raise LinkError(f"this host cannot be the gateway on {bridge.name!r}: {refused[0]}")
        if not is_gateway:
            try:
                await _forget(links, bridge, heard_routers=heard_routers)
            except LinkError as error:
                refused.append(error.message)
        if refused and bridge.name not in self._told:
            self._told.add(bridge.name)
            log.warning(
                "bridge_unsettled",
                link=bridge.name,
                refused=refused,
                hint="the packet filter keeps guests from the host there; a privileged agent sets this, too",
            )


async def given(links: Links, bridges: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the addresses that the admin gave the host on some bridges, as far as they are there."""
    found = {}
    for link in (links.get(name) for name in bridges):
        if link is not None:
            there = [each async for each in links.addresses(link)]
            found[link.name] = tuple(each.address for each in there if not _is_of_kernel(each, link))
    return found


async def _forget(links: Links, bridge: Link, *, heard_routers: bool) -> None:
    """Take what the kernel gave the bridge while nobody told it not to."""
    made = [each async for each in links.addresses(bridge) if _is_of_kernel(each, bridge)]
    if heard_routers or any(not each.is_permanent for each in made):
        await links.forget_routers(bridge)  # first: while an address is there, this is tried again
    for each in made:
        await links.remove_address(bridge, each.address, each.prefix_length)


def _is_of_kernel(address: Address, bridge: Link) -> bool:
    """Tell whether the kernel made an address: it says so since Linux 5.18; before, its form tells."""
    if ":" not in address.address:
        return False
    if address.protocol:
        return address.protocol in (_BY_ADVERTISEMENT, _BY_LINK)
    from_mac = ipaddress.ip_address(link_local(bridge.mac)).packed[8:]
    has_form = ipaddress.ip_address(address.address).packed[8:] == from_mac
    if address.is_permanent:
        return has_form and address.address.startswith("fe80:")
    return has_form or address.is_temporary


def _put(name: str, value: str, refused: list[str]) -> bool:
    try:
        return sysctl.put(name, value)
    except FileNotFoundError:  # a kernel without IPv6 has nothing of it to refuse
        return False
    except OSError as error:
        refused.append(str(error))
        return False
