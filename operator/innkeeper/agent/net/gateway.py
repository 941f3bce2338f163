"""A host that is its guests' gateway: it has their gateways' addresses and passes packets on (sysctl, addresses)."""

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path

from innkeeper.agent.net import sysctl
from innkeeper.agent.net.links import Link, LinkError, Links
from innkeeper.agent.net.ports import Port

_LINK_LOCAL_PREFIX = 64


def addresses_of(ports: Iterable[Port]) -> set[tuple[str, int]]:
    """Return the gateways of some guests with the lengths of their prefixes."""
    return {
        (each.gateway, _LINK_LOCAL_PREFIX if each.gateway.startswith("fe80:") else each.prefix_length)
        for port in ports
        for each in port.addresses
        if each.gateway
    }


async def hold(links: Links, bridge: Link, wanted: set[tuple[str, int]], *, noted: Path) -> None:
    """Have just these addresses on the bridge, of those that we ever put there: `noted` holds which.

    A host that is no gateway any more must not answer for it beside the real one.
    """
    before = _noted(noted)
    if wanted - before:
        _note(noted, before | wanted)  # before the first is set: none is forgotten
    for address, length in sorted(wanted):
        await links.address(bridge, address, length)
    for address, length in sorted(before - wanted):
        await links.remove_address(bridge, address, length)
    if before - wanted:
        _note(noted, wanted)


def _noted(path: Path) -> set[tuple[str, int]]:
    try:
        return {(address, length) for address, length in json.loads(path.read_text())}
    except (OSError, ValueError):
        return set()


def _note(path: Path, addresses: set[tuple[str, int]]) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.write_text(json.dumps(sorted(addresses)))


def pass_packets_on(ports: Iterable[Port]) -> None:
    """Have the kernel pass on packets of both families, as far as guests have them.

    Raises:
        LinkError: the kernel refuses.
    """
    try:
        sysctl.put("ipv4/ip_forward", "1")
        if any(":" in each.address for port in ports for each in port.addresses):
            _pass_on_v6()
    except OSError as error:
        raise LinkError(f"this host cannot pass on packets of its guests: {error}") from error


def _pass_on_v6() -> None:
    """A router ignores other routers unless it is told not to: the host keeps the default route that it learnt."""
    for each in sysctl.interfaces("ipv6"):
        if sysctl.is_set(f"ipv6/conf/{each}/accept_ra", "1"):
            with contextlib.suppress(FileNotFoundError):  # an interface that goes away meanwhile
                sysctl.put(f"ipv6/conf/{each}/accept_ra", "2")
    sysctl.put("ipv6/conf/all/forwarding", "1")
