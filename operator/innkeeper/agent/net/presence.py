"""What the host itself is on a bridge of ours: its guests' gateway under NAT, and else nobody (sysctl, netlink).

It takes no router and no address from the machines there, and answers ARP for that bridge's addresses alone. Where it is
no gateway it has no link-local address either; one that an admin gave it later stays.
"""

import contextlib

import structlog

from innkeeper.agent.net import sysctl
from innkeeper.agent.net.links import Link, LinkError, Links

_FROM_MAC, _NONE = "0", "1"  # of addr_gen_mode

log = structlog.get_logger()


async def settle(links: Links, bridge: Link, *, is_gateway: bool) -> None:
    """Have the kernel keep to it.

    Raises:
        LinkError: the kernel refuses, and the host is the gateway.
    """
    try:
        sysctl.put(
            f"ipv4/conf/{bridge.name}/arp_ignore", "1"
        )  # else it answers for all addresses that it has
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6 has nothing of it to refuse
            sysctl.put(f"ipv6/conf/{bridge.name}/accept_ra", "0")
            is_new = sysctl.put(f"ipv6/conf/{bridge.name}/addr_gen_mode", _FROM_MAC if is_gateway else _NONE)
            if is_new and not is_gateway:
                await _forget(links, bridge)
    except OSError as error:
        if is_gateway:
            raise LinkError(f"this host cannot be the gateway on {bridge.name!r}: {error}") from error
        # An agent without privileges: the packet filter lets nobody reach the host there (border.py).
        log.debug("bridge_unsettled", link=bridge.name, error=str(error))


async def _forget(links: Links, bridge: Link) -> None:
    """Take what the kernel gave the bridge before it was told not to."""
    for address, length, _ in [each async for each in links.addresses(bridge)]:
        if address.startswith("fe80:"):
            await links.remove_address(bridge, address, length)
