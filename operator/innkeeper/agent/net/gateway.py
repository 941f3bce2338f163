"""A host that is its guests' gateway: it has their gateways' addresses and passes packets on (sysctl, addresses)."""

from collections.abc import Iterable
from pathlib import Path

from innkeeper.agent.net.dhcp import served
from innkeeper.agent.net.links import Link, LinkError, Links
from innkeeper.agent.net.ports import Port
from innkeeper.agent.net.rules import Nat

_SYSCTL = Path("/proc/sys/net")
_LINK_LOCAL_PREFIX = 64


def translation(ports: Iterable[Port]) -> Nat:
    """Return the networks whose guests are hidden behind this host."""
    return Nat(tuple(str(each.network) for each in served(ports)))


async def become(links: Links, bridge: Link, ports: Iterable[Port]) -> None:
    """Have the gateways' addresses on the bridge, and have packets passed on.

    Raises:
        LinkError: the kernel refuses.
    """
    found = list(ports)
    for address, prefix_length in sorted(
        {(each.gateway, each.prefix_length) for port in found for each in port.addresses if each.gateway}
    ):
        length = _LINK_LOCAL_PREFIX if address.startswith("fe80:") else prefix_length
        await links.address(bridge, address, length)
    try:
        _put("ipv4/ip_forward", "1")
        if any(":" in each.address for port in found for each in port.addresses):
            _pass_on_v6()
    except OSError as error:
        raise LinkError(f"this host cannot pass on packets of its guests: {error}") from error


def _pass_on_v6() -> None:
    """A router ignores other routers unless it is told not to: the host keeps the default route that it learnt."""
    for each in (_SYSCTL / "ipv6/conf").iterdir():
        accept = each / "accept_ra"
        if accept.read_text().strip() == "1":
            accept.write_text("2")
    _put("ipv6/conf/all/forwarding", "1")


def _put(name: str, value: str) -> None:
    path = _SYSCTL / name
    if path.read_text().strip() != value:
        path.write_text(value)
