"""What an IPPool may give: its ranges less what must never be given.

Network, broadcast and gateway addresses, reservations and exclusions are cut out. Everything is sorted intervals of
integers, so an IPv6 network costs as little as a small IPv4 one. It never knows which addresses are taken.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from innkeeper.domain.addressing.intervals import Interval, clipped, united, without
from innkeeper.domain.durations import seconds
from innkeeper.views.network import IPPoolSpec

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Number = tuple[int, int]  # family (4 or 6) and number of an address

V4, V6 = 4, 6  # families
# The usual case, for which ipaddress takes many times as long; what is written otherwise is its to judge.
_OCTETS = {str(octet): octet for octet in range(256)}
LINK_LOCAL = ipaddress.IPv6Network("fe80::/10")
PREFIXES = {V4: (8, 30), V6: (32, 126)}
_ANYCAST_PREFIX, _ANYCAST_COUNT = 64, 128  # RFC 2526: the last 128 interface IDs of such a subnet


class PoolInvalidError(ValueError):
    """The pool cannot give addresses as it is written; the message says what to change."""


class Order(StrEnum):
    """Which free address is given first."""

    RANDOM = "Random"
    LOWEST = "Lowest"


@dataclass(frozen=True)
class Reservation:
    """An address that is given to nobody but its owner: `namespace/name` of a Guest, or words."""

    owner: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A pool that was understood: disjoint sorted intervals of addresses that may be given."""

    space: str
    network: Network
    intervals: tuple[Interval, ...]
    of_network: tuple[Interval, ...]  # its network's own: the first, the last in IPv4, and the gateway
    gateway: str | None = None
    dns: tuple[str, ...] = ()
    search_domains: tuple[str, ...] = ()
    mtu: int | None = None
    vlan: int | None = None
    clusters: frozenset[str] = frozenset()  # those that it serves by name
    quarantine_s: float = 300.0
    order: Order = Order.RANDOM
    max_per_namespace: int | None = None
    reservations: Mapping[int, Reservation] = field(default_factory=dict)

    @cached_property
    def version(self) -> int:
        """4 or 6."""
        return self.network.version

    @cached_property
    def bounds(self) -> Interval:
        """The first and the last address of its network."""
        return _bounds(self.network)

    @property
    def told(self) -> tuple[object, ...]:
        """What orders tell guests of it, and may be changed."""
        return self.gateway, self.dns, self.search_domains, self.mtu

    @property
    def total(self) -> int:
        """How many addresses it may give to anybody."""
        return sum(last - first + 1 for first, last in self.intervals)

    def text(self, number: int) -> str:
        """Return an address of this pool's family in its canonical form (RFC 5952 for IPv6)."""
        return str(ipaddress.IPv4Address(number) if self.version == V4 else ipaddress.IPv6Address(number))

    def gives(self, address: Number) -> bool:
        """Tell whether the pool may give this address to anybody."""
        version, number = address
        return version == self.version and any(first <= number <= last for first, last in self.intervals)

    def contains(self, address: Number) -> bool:
        """Tell whether the pool may give this address, be it to the owner of a reservation only."""
        version, number = address
        return self.gives(address) or (version == self.version and number in self.reservations)

    def reserved_for(self, owner: str) -> list[int]:
        """Return the addresses that are reserved for an owner."""
        return sorted(number for number, each in self.reservations.items() if each.owner == owner)

    def reserved_otherwise(self, other: "Pool") -> set[str]:
        """Return the owners for whom this version of the pool and another one do not reserve the same."""
        return {each.owner for _, each in self.reservations.items() ^ other.reservations.items()}


def number_of(address: str) -> Number:
    """Return family (4 or 6) and number of an address.

    Raises:
        ValueError: it is none.
    """
    try:
        first, second, third, fourth = map(_OCTETS.__getitem__, address.split("."))
    except (KeyError, ValueError):
        parsed = ipaddress.ip_address(address)
        return parsed.version, int(parsed)
    return V4, first << 24 | second << 16 | third << 8 | fourth


def understand(spec: IPPoolSpec) -> Pool:
    """Return the pool that a spec describes.

    Raises:
        PoolInvalidError: it cannot be served; the message says what to change.
    """
    try:
        network = _network(spec.cidr)
        quarantine_s = seconds(spec.quarantine)
        gateway = None if spec.gateway is None else _gateway(spec.gateway, network)
        exclude = [_excluded(text, network) for text in spec.exclude]
        ranges = [_range(each.start, each.end, network) for each in spec.ranges]
        reservations = _reservations(spec, network)
        order = Order(spec.order)
    except ValueError as error:
        raise PoolInvalidError(str(error)) from error
    whole = _usable(network)
    never = [*exclude, *((number, number) for number in reservations)]
    if gateway is not None:
        never.append((int(gateway), int(gateway)))
    wanted = united(clipped(ranges, whole) if ranges else [whole])
    return Pool(
        space=spec.address_space,
        network=network,
        intervals=tuple(without(wanted, never)),
        of_network=_of_network(network, gateway),
        gateway=None if gateway is None else str(gateway),
        dns=tuple(spec.dns),
        search_domains=tuple(spec.search_domains),
        mtu=spec.mtu,
        vlan=spec.vlan,
        clusters=frozenset(spec.clusters or ()) if spec.cluster_selector is None else frozenset(),
        quarantine_s=quarantine_s,
        order=order,
        max_per_namespace=spec.max_per_namespace,
        reservations=_usable_reservations(reservations, whole=whole, gateway=gateway),
    )


def _reservations(spec: IPPoolSpec, network: Network) -> dict[int, Reservation]:
    """The API server takes two spellings of one address for two: which owner is meant, only a person can say."""
    found: dict[int, Reservation] = {}
    for each in spec.reservations:
        address = _inside(each.address, network, "reservations")
        if int(address) in found:
            raise ValueError(
                f"{address} is reserved twice, in two spellings: remove one of them from spec.reservations"
            )
        found[int(address)] = Reservation(each.owner, each.reason)
    return found


def _usable_reservations(
    found: Mapping[int, Reservation], *, whole: Interval, gateway: Address | None
) -> dict[int, Reservation]:
    """A reservation does not make the network's or the gateway's address one that a guest may have."""
    return {
        number: each
        for number, each in found.items()
        if whole[0] <= number <= whole[1] and (gateway is None or number != int(gateway))
    }


def _network(text: str) -> Network:
    network = ipaddress.ip_network(text)
    least, most = PREFIXES[network.version]
    if not least <= network.prefixlen <= most:
        raise ValueError(
            f"the prefix of {network} must be from /{least} to /{most}: correct spec.cidr of a new IPPool"
        )
    return network


def _bounds(network: Network) -> Interval:
    return int(network.network_address), int(network.broadcast_address)


def _of_network(network: Network, gateway: Address | None) -> tuple[Interval, ...]:
    first, last = _bounds(network)
    own = [(first, first), *([(last, last)] if network.version == V4 else [])]
    if gateway is not None and gateway in network:
        own.append((int(gateway), int(gateway)))
    return united(own)


def _usable(network: Network) -> Interval:
    """Return the addresses of a network that a machine may have: not the first, which names the network or any router.

    In IPv4 the last is for broadcasts.
    """
    first, last = _bounds(network)
    if network.version == V4:
        return first + 1, last - 1
    return first + 1, last - (_ANYCAST_COUNT if network.prefixlen <= _ANYCAST_PREFIX else 0)


def _inside(text: str, network: Network, where: str) -> Address:
    address = ipaddress.ip_address(text)
    if address not in network:
        raise ValueError(f"{address} is not in {network}: correct spec.{where}")
    return address


def _gateway(text: str, network: Network) -> Address:
    address = ipaddress.ip_address(text)
    if network.version == V6 and address in LINK_LOCAL:
        return address
    return _inside(text, network, "gateway")


def _range(start: str, end: str, network: Network) -> Interval:
    first, last = _inside(start, network, "ranges"), _inside(end, network, "ranges")
    if int(first) > int(last):
        raise ValueError(f"the range {start} to {end} is reversed: swap start and end")
    return (int(first), int(last))


def _excluded(text: str, network: Network) -> Interval:
    excluded = ipaddress.ip_network(text)
    if excluded.version != network.version:
        raise ValueError(f"{text} is not in {network}: correct spec.exclude")
    return _bounds(excluded)
