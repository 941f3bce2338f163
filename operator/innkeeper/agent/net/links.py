"""The host's links by netlink (pyroute2): what is missing is made, what differs is set right, the rest is left alone.

It never takes an interface that has addresses, never removes what it did not make, and never takes a link down.
"""

import errno
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from pyroute2 import AsyncIPRoute
from pyroute2.netlink import rtnl
from pyroute2.netlink.exceptions import NetlinkError

from innkeeper.errors import InnkeeperError

log = structlog.get_logger()

_IFF_UP = 1
_TEMPORARY, _NODAD, _PERMANENT, _NOPREFIXROUTE = 0x01, 0x02, 0x80, 0x200  # flags of addresses
_FROM_ROUTERS = 9  # the protocol of routes that routers advertised
_MAIN_TABLE, _UNICAST = 254, 1

OURS = 73
"""The protocol of addresses and routes that the agent makes: nobody else's are taken for them. Kernels before Linux 5.18
keep none of an address."""

METRIC = 1024
"""Of the routes that the agent makes; what others make has it, too, where they say nothing."""


class LinkError(InnkeeperError):
    """A link cannot be made or set as the network asks."""

    reason = "NetworkFailed"


class LinkGoneError(LinkError):
    """A link that was there is gone."""


@dataclass(frozen=True)
class Link:
    """One link as the kernel has it."""

    index: int
    name: str
    kind: str | None
    master: int | None
    mtu: int
    mac: str
    up: bool
    parent: int | None = None  # of this network namespace: what a VLAN's device lies over
    vlan: int | None = None


@dataclass(frozen=True)
class Address:
    """One address of a link as the kernel has it."""

    address: str
    prefix_length: int
    index: int
    protocol: int  # who made it; 0 where nobody said
    is_permanent: bool
    is_temporary: bool  # of an identifier that changes (RFC 8981)


@dataclass(frozen=True)
class Route:
    """One route of IPv6 in the main table as the kernel has it."""

    network: str
    prefix_length: int
    index: int | None  # of the link that it leads over, if it is one
    protocol: int  # who made it
    metric: int  # the least is taken
    is_direct: bool  # to what is on that link, without a router


class Links:
    """The links of this network namespace, read once; what is changed is read again."""

    def __init__(self, route: AsyncIPRoute) -> None:
        self._route = route
        self._links: dict[str, Link] = {}

    async def read(self) -> None:
        """Read all links."""
        self._links = {}
        with _as_link_error("links cannot be read"):
            async for message in await self._route.get_links():
                link = _link(message)
                self._links[link.name] = link

    def get(self, name: str) -> Link | None:
        """Return a link as it was last read."""
        return self._links.get(name)

    async def bridge(self, name: str, *, mtu: int | None = None) -> Link:
        """Have a bridge of ours that is up."""
        link = self._links.get(name)
        if link is None:
            link = await self._make(name, kind="bridge", br_stp_state=0, br_forward_delay=0)
            # Said once it stays: else a bridge takes the lowest MAC of its ports, and its guests' gateway changes.
            await self._do("link", "set", index=link.index, address=link.mac)
        return await self._set(self._of_kind(link, "bridge"), mtu=mtu)

    async def vlan(self, name: str, *, over: str, vlan: int, bridge: Link, mtu: int) -> None:
        """Have a VLAN's device over a bridge, as a port of another bridge.

        Raises:
            LinkError: what is there by its name is another VLAN's, or over another link; or the kernel refuses.
        """
        base = self.existing_bridge(over)
        link = self._links.get(name) or await self._make(name, kind="vlan", link=base.index, vlan_id=vlan)
        if (self._of_kind(link, "vlan").parent, link.vlan) != (base.index, vlan):
            there = self.name_of(link.parent)
            raise LinkError(
                f"{name!r} is there and is VLAN {link.vlan} over {repr(there) if there else 'another link'}, not VLAN "
                f"{vlan} over {over!r}: remove it with `ip link delete {name}`; it is made anew"
            )
        await self._set(link, master=bridge.index, mtu=mtu)

    async def cable(self, outer: str, inner: str, *, bridge: Link, mtu: int) -> Link:
        """Have a pair of devices: `outer` is a port of the bridge; return `inner`.

        Both take frames of `mtu` bytes at least: a bridge whose MTU nobody set has that of its smallest port.
        """
        if outer not in self._links or inner not in self._links:
            # Half a cable is none: an end was moved away or renamed. The other takes it along when it goes.
            for left in [
                self._of_kind(self._links[each], "veth") for each in (outer, inner) if each in self._links
            ]:
                await self.remove(left.name)
            await self._make(outer, kind="veth", peer={"ifname": inner})
            await self.read()
        for each in (inner, outer):
            await self._set(self._links[each], mtu=max(mtu, self._links[each].mtu))
        await self._set(self._links[outer], master=bridge.index)
        return self._links[inner]

    async def refreshed(self, link: Link) -> Link:
        """Return a link as it is now: what is done to its ports may change it.

        Raises:
            LinkError: it is gone.
        """
        return await self._reread(link.name)

    async def plug(self, tap: Link, *, bridge: Link, mtu: int) -> None:
        """Make a device a port of the bridge, and up. One that went meanwhile is left out."""
        wanted: dict[str, Any] = {"master": bridge.index, "mtu": mtu}
        if not tap.up:
            wanted["state"] = "up"
        elif (tap.master, tap.mtu) == (bridge.index, mtu):
            return
        try:
            await self._do("link", "set", index=tap.index, **wanted)
            log.info("link_set", link=tap.name, **wanted)
            await self._reread(tap.name)
        except LinkGoneError:
            self._links.pop(tap.name, None)

    async def uplink(self, name: str, *, bridge: Link) -> None:
        """Make an interface of the host a port of the bridge.

        Raises:
            LinkError: there is none, or it has addresses: who is reached over it would be cut off.
        """
        link = self._links.get(name)
        if link is None:
            raise LinkError(f"this host has no interface {name!r} to be the uplink of its bridge")
        if link.master == bridge.index:
            await self._set(link)
            return
        if link.master is not None or [
            each async for each in self.addresses(link) if "fe80:" not in each.address
        ]:
            raise LinkError(f"{name!r} cannot be the uplink: it has an address, or belongs to another bridge")
        await self._set(link, master=bridge.index)

    def existing_bridge(self, name: str) -> Link:
        """Return a bridge that must be there.

        Raises:
            LinkError: it is not.
        """
        link = self._links.get(name)
        if link is None or link.kind != "bridge":
            raise LinkError(f"this host has no bridge {name!r}", reason="BridgeMissing")
        return link

    async def addresses(self, link: Link | None = None) -> AsyncIterator[Address]:
        """Yield a link's addresses; those of all links where none is named."""
        where = {} if link is None else {"index": link.index}
        with _as_link_error("addresses cannot be read"):
            async for message in await self._route.get_addr(**where):
                found = _address(message)
                if found is not None:
                    yield found

    async def address(self, link: Link, address: str, prefix_length: int, *, route: bool = True) -> bool:
        """Have an address on a link, with the route to its network or without it; return whether it was not there.

        In IPv6 it is used at once: no other machine on a link of ours can have it.
        """
        if await self._has(link, address, prefix_length):
            return False
        more = {"flags": _NODAD | (0 if route else _NOPREFIXROUTE)} if ":" in address else {}
        what = {"index": link.index, "address": address, "prefixlen": prefix_length, "proto": OURS, **more}
        if not await self._do("addr", "add", **what):
            return False
        log.info("address_set", link=link.name, address=address)
        return True

    async def remove_address(self, link: Link, address: str, prefix_length: int) -> None:
        """Take an address from a link; absence is success."""
        if await self._has(link, address, prefix_length):
            await self._do("addr", "del", index=link.index, address=address, prefixlen=prefix_length)
            log.info("address_removed", link=link.name, address=address)

    async def routes(self) -> AsyncIterator[Route]:
        """Yield the routes of IPv6."""
        with _as_link_error("routes cannot be read"):
            async for message in await self._route.get_routes(family=socket.AF_INET6, table=_MAIN_TABLE):
                yield _route(message)

    async def route(self, link: Link, network: str) -> bool:
        """Add a route of IPv6 to a network over a link; return whether there was none of this metric."""
        return await self._do("route", "add", **_route_words(link, network, protocol=OURS))

    async def remove_route(self, link: Link, network: str, *, protocol: int) -> None:
        """Take a route of IPv6 to a network over a link that was made by `protocol`; absence is success."""
        await self._do("route", "del", **_route_words(link, network, protocol=protocol))

    async def forget_routers(self, link: Link) -> None:
        """Remove the routes over a link that its routers advertised; absence is success."""
        try:
            await self._route.flush_routes(family=socket.AF_INET6, oif=link.index, proto=_FROM_ROUTERS)
        except NetlinkError as error:
            if error.code != errno.ESRCH:  # it ended a moment ago
                raise LinkError(
                    f"the kernel refuses to remove routes by routers of {link.name!r}: {error}"
                ) from error

    async def remove(self, name: str) -> None:
        """Remove a link of ours; absence is success."""
        link = self._links.pop(name, None)
        if link is not None:
            await self._do("link", "del", index=link.index)
            log.info("link_removed", link=name)

    def name_of(self, index: int | None) -> str | None:
        """Return the name of a link as it was last read."""
        return next((each.name for each in self._links.values() if each.index == index), None)

    def __iter__(self) -> Iterator[Link]:
        """Yield all links as they were last read."""
        return iter(self._links.values())

    async def _has(self, link: Link, address: str, prefix_length: int) -> bool:
        there = [each async for each in self.addresses(link)]
        return (address, prefix_length) in [(each.address, each.prefix_length) for each in there]

    async def _make(self, name: str, **what: Any) -> Link:
        await self._do("link", "add", ifname=name, **what)
        log.info("link_made", link=name, kind=what["kind"])
        return await self._reread(name)

    async def _set(self, link: Link, *, master: int | None = None, mtu: int | None = None) -> Link:
        wanted: dict[str, Any] = {}
        if master is not None and link.master != master:
            wanted["master"] = master
        if mtu is not None and link.mtu != mtu:
            wanted["mtu"] = mtu
        if not link.up:
            wanted["state"] = "up"
        if not wanted:
            return link
        await self._do("link", "set", index=link.index, **wanted)
        log.info("link_set", link=link.name, **wanted)
        return await self._reread(link.name)

    async def _reread(self, name: str) -> Link:
        try:
            found = await self._route.link("get", ifname=name)
        except NetlinkError as error:
            raise LinkGoneError(
                f"the link {name!r} is not there after it was made or set: does this host have a device of its own "
                "for the same VLAN?"
            ) from error
        link = self._links[name] = _link(found[0])
        return link

    async def _do(self, what: str, verb: str, **words: Any) -> bool:
        """Return whether something was done: what is to be added is there, or what is to go is gone."""
        try:
            await getattr(self._route, what)(verb, **words)
        except NetlinkError as error:
            if error.code in ((errno.ENODEV, errno.ESRCH) if verb == "del" else (errno.EEXIST,)):
                return False  # a cable goes with either of its ends
            name = words.get("ifname") or self.name_of(words.get("index")) or "?"
            if verb == "set" and error.code == errno.ENODEV:
                raise LinkGoneError(f"the link {name!r} is gone") from error
            hint = (
                "; load its module, for VLANs 8021q" if error.code in (errno.EOPNOTSUPP, errno.ENODEV) else ""
            )
            raise LinkError(f"the kernel refuses to {verb} {what} {name!r}: {error}{hint}") from error
        return True

    @staticmethod
    def _of_kind(link: Link, kind: str) -> Link:
        if link.kind != kind:
            raise LinkError(f"{link.name!r} is there and is no {kind}: rename it, or choose another name")
        return link


@contextmanager
def _as_link_error(what: str) -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        raise LinkError(f"the host's {what}: {error}") from error


async def changes() -> AsyncIterator[None]:
    """Yield whenever a link of this network namespace, or an address of one, may have changed."""
    events = AsyncIPRoute()
    try:
        await events.bind(groups=rtnl.RTMGRP_LINK | rtnl.RTMGRP_IPV4_IFADDR | rtnl.RTMGRP_IPV6_IFADDR)
        while True:
            async for _ in events.get():
                yield
    finally:
        events.close()


def _link(message: Any) -> Link:
    info = message.get("linkinfo")
    kind = info.get("kind") if info else None
    return Link(
        index=message["index"],
        name=message.get("ifname"),
        kind=kind,
        master=message.get("master"),
        mtu=message.get("mtu") or 0,
        mac=message.get("address") or "",
        up=bool(message["flags"] & _IFF_UP),
        parent=message.get("link") if message.get("link_netnsid") is None else None,
        vlan=info.get("data").get("vlan_id") if kind == "vlan" else None,
    )


def _address(message: Any) -> Address | None:
    address = message.get("local") or message.get("address")
    if address is None:
        return None
    flags = message.get("flags") or 0
    return Address(
        address=address,
        prefix_length=message["prefixlen"],
        index=message["index"],
        protocol=message.get("proto") or 0,
        is_permanent=bool(flags & _PERMANENT),
        is_temporary=bool(flags & _TEMPORARY),
    )


def _route_words(link: Link, network: str, *, protocol: int) -> dict[str, Any]:
    return {
        "family": socket.AF_INET6,
        "dst": network,
        "oif": link.index,
        "priority": METRIC,
        "proto": protocol,
    }


def _route(message: Any) -> Route:
    return Route(
        network=message.get("dst") or "::",
        prefix_length=message["dst_len"],
        index=message.get("oif"),
        protocol=message["proto"],
        metric=message.get("priority") or 0,
        is_direct=message["type"] == _UNICAST and message.get("gateway") is None,
    )
