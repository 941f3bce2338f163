"""A host that is its guests' gateway: it has their gateways' addresses and passes packets on (sysctl, addresses, routes).

A gateway's address brings the way back to its guests' network, but for one that is link-local: that way is a route.
"""

import contextlib
import ipaddress
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from innkeeper.agent.net import sysctl
from innkeeper.agent.net.links import Link, LinkError, Links
from innkeeper.agent.net.ports import Port
from innkeeper.domain.default_routes import has_link_local_gateway

_LINK_LOCAL_PREFIX = 64


def addresses_of(ports: Iterable[Port]) -> set[tuple[str, int]]:
    """Return the gateways of some guests with the lengths of their prefixes."""
    return {
        (each.gateway, _LINK_LOCAL_PREFIX if each.gateway.startswith("fe80:") else each.prefix_length)
        for port in ports
        for each in port.addresses
        if each.gateway
    }


def networks_of(ports: Iterable[Port]) -> set[tuple[str, int]]:
    """Return the networks of some guests in which their gateway has no address."""
    return {
        (str(ipaddress.ip_interface(f"{each.address}/{each.prefix_length}").network[0]), each.prefix_length)
        for port in ports
        for each in port.addresses
        if has_link_local_gateway(each)
    }


async def hold(links: Links, bridge: Link, ports: Iterable[Port], *, notes: Path) -> None:
    """Be the gateway of just these guests on the bridge: of what we ever set there all else goes. `notes` say what.

    A host that is no gateway any more must not answer for it beside the real one.
    """
    found = list(ports)
    addresses, routes = addresses_of(found), networks_of(found)
    with _noted(notes / f"{bridge.name}.gateways", addresses) as gone:
        for address, length in sorted(addresses):
            await links.address(bridge, address, length)
        for address, length in sorted(gone):
            await links.remove_address(bridge, address, length)
    with _noted(notes / f"{bridge.name}.routes", routes) as gone:
        for network, length in sorted(routes):
            await links.route(bridge, f"{network}/{length}")
        for network, length in sorted(gone):
            await links.remove_route(bridge, f"{network}/{length}")


@contextlib.contextmanager
def _noted(path: Path, wanted: set[tuple[str, int]]) -> Iterator[set[tuple[str, int]]]:
    """Give what was noted and is not wanted any more; note what is wanted."""
    before = _read(path)
    if wanted - before:
        _note(path, before | wanted)  # before the first is set: none is forgotten
    yield before - wanted
    if before - wanted:
        _note(path, wanted)


def _read(path: Path) -> set[tuple[str, int]]:
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
