"""A host that is its guests' gateway: it has their gateways' addresses and passes packets on (sysctl, addresses, routes).

A gateway's address brings the way back to its guests' network, but for one that is link-local: that way is a route.
"""

import contextlib
import ipaddress
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from innkeeper import whole_files
from innkeeper.agent.net import sysctl
from innkeeper.agent.net.links import METRIC, OURS, Link, LinkError, Links, Route
from innkeeper.agent.net.ports import Port
from innkeeper.domain.default_routes import has_link_local_gateway
from innkeeper.to_its_end import in_thread

_LINK_LOCAL_PREFIX = 64
_UNMARKED = 0  # the protocol of an address that an older agent made, or that is on a kernel that keeps none
_STATIC = 4  # the protocol of routes that an older agent made

_Prefix = tuple[str, int]  # an address or a network, and the length of its prefix


def addresses_of(ports: Iterable[Port]) -> set[_Prefix]:
    """Return the gateways of some guests with the lengths of their prefixes."""
    return {
        (
            str(ipaddress.ip_address(each.gateway)),
            _LINK_LOCAL_PREFIX if each.gateway.startswith("fe80:") else each.prefix_length,
        )
        for port in ports
        for each in port.addresses
        if each.gateway
    }


def networks_of(ports: Iterable[Port]) -> set[_Prefix]:
    """Return the networks of some guests in which their gateway has no address."""
    return {
        (str(ipaddress.ip_interface(f"{each.address}/{each.prefix_length}").network[0]), each.prefix_length)
        for port in ports
        for each in port.addresses
        if has_link_local_gateway(each)
    }


async def hold(links: Links, bridge: Link, ports: Iterable[Port], *, notes: Path) -> None:
    """Be the gateway of just these guests on the bridge: of what we ever set there all else goes. `notes` say what.

    A host that is no gateway any more must not answer for it beside the real one. What somebody else set is left.
    """
    found = list(ports)
    await _hold_addresses(links, bridge, addresses_of(found), notes / f"{bridge.name}.gateways")
    await _hold_routes(links, bridge, networks_of(found), notes / f"{bridge.name}.routes")


async def check_routes(links: Links, bridge: Link, ports: Iterable[Port]) -> None:
    """Look whether this host finds back to guests whose gateway has no address in their network.

    Raises:
        LinkError: a route that is not ours leads elsewhere.
    """
    networks = networks_of(ports)
    best: dict[_Prefix, Route] = {}
    for each in await _routes_to(links, networks):
        known = best.setdefault((each.network, each.prefix_length), each)
        best[each.network, each.prefix_length] = min(known, each, key=lambda route: route.metric)
    for (network, length), each in sorted(best.items()):
        if not _leads_there(each, bridge):
            over = links.name_of(each.index)
            raise LinkError(
                f"this host's route to {network}/{length} leads {f'over {over!r}' if over else 'elsewhere'}, not to the "
                f"guests on {bridge.name!r}: remove that route, or give their IPPool another cidr"
            )


async def _hold_addresses(links: Links, bridge: Link, wanted: set[_Prefix], note: Path) -> None:
    noted = _read(note, by=_UNMARKED)
    if not wanted and not noted:
        return
    there = await _addresses_of(links, bridge)
    ours = {each for each, protocol in there.items() if each in noted and protocol in (OURS, noted[each])}
    if ours - wanted:
        # Else others of its network go with the first one that was set, whoever set them.
        with contextlib.suppress(OSError):
            sysctl.put(f"ipv4/conf/{bridge.name}/promote_secondaries", "1")
    for address, length in sorted(ours - wanted):
        await links.remove_address(bridge, address, length)
    # In IPv6 a link has an address once, whatever the length of its prefix.
    has = {address for address, _ in there if ":" in address} - {address for address, _ in ours - wanted}
    missing = {each for each in wanted - there.keys() if each[0] not in has}
    if missing:
        await _note(note, {**noted, **dict.fromkeys(missing, _UNMARKED)})  # before: none is forgotten
        ours |= {each for each in sorted(missing) if await links.address(bridge, *each)}
    if missing or ours - wanted:
        there = await _addresses_of(links, bridge)
    left = {each: there[each] for each in ours & wanted & there.keys()}
    if left != noted or missing:
        await _note(note, left)


async def _hold_routes(links: Links, bridge: Link, wanted: set[_Prefix], note: Path) -> None:
    noted = _read(note, by=_STATIC)
    if not wanted and not noted:
        return
    for each in sorted(noted.keys() - wanted):
        await links.remove_route(bridge, _text(each), protocol=noted[each])
    ours: dict[_Prefix, int] = {}
    others = set()
    for route in await _routes_to(links, wanted):
        each = (route.network, route.prefix_length)
        if route.index == bridge.index and route.protocol in (OURS, noted.get(each)):
            ours[each] = route.protocol
        elif route.metric == METRIC:
            others.add(each)  # ours is not put in its place
    missing = wanted - ours.keys() - others
    if missing:
        await _note(note, {**noted, **dict.fromkeys(missing, OURS)})
        ours |= {each: OURS for each in sorted(missing) if await links.route(bridge, _text(each))}
    if ours != noted or missing:
        await _note(note, ours)


async def _addresses_of(links: Links, bridge: Link) -> dict[_Prefix, int]:
    return {(each.address, each.prefix_length): each.protocol async for each in links.addresses(bridge)}


async def _routes_to(links: Links, networks: set[_Prefix]) -> list[Route]:
    if not networks:
        return []
    return [each async for each in links.routes() if (each.network, each.prefix_length) in networks]


def _leads_there(route: Route, bridge: Link) -> bool:
    return route.is_direct and route.index == bridge.index


def _text(network: _Prefix) -> str:
    return f"{network[0]}/{network[1]}"


def _read(path: Path, *, by: int) -> dict[_Prefix, int]:
    """Return what we set, and the protocol that the kernel has it by; older agents noted no protocol and used `by`."""
    try:
        return {
            (address, length): protocol[0] if protocol else by
            for address, length, *protocol in json.loads(path.read_text())
        }
    except (OSError, ValueError, TypeError):
        return {}


async def _note(path: Path, what: Mapping[_Prefix, int]) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    lines = sorted((*each, protocol) for each, protocol in what.items())
    await in_thread(whole_files.put, path, json.dumps(lines).encode())


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
