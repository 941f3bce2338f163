"""IPPool: addresses for the guests of one or more clusters.

Admins write the spec, the operator writes counters into the status. CEL checks each address against the network; the
operator marks what CEL cannot see: reversed ranges of IPv6, pools that overlap, and held addresses that a
changed pool no longer gives.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from innkeeper.api.fields import (
    Conditions,
    Counter,
    DnsLabel,
    DomainName,
    IpAddress,
    ObjectName,
    ObservedGeneration,
)
from innkeeper.api.model import (
    AGE,
    ATOMIC,
    READY,
    SET,
    ApiModel,
    Column,
    Definition,
    Kind,
    Rule,
    exactly_one,
    immutable,
    map_keys,
)
from innkeeper.api.v1alpha1.cluster import Mtu, Vlan
from innkeeper.api.v1alpha1.placement import LabelSelector
from innkeeper.domain.addressing.pool import PREFIXES, V4, V6, Order

_IPV4 = PREFIXES[V4]
_IPV6 = PREFIXES[V6]
_ANOTHER = "guests hold addresses of it; create another IPPool"


def _number(address: str) -> str:
    octets = (f"int(self.{address}.split('.')[{index}]) * {256 ** (3 - index)}" for index in range(4))
    return f"({' + '.join(octets)})"


_NEVER = (
    "0.0.0.0/8",  # this network
    "127.0.0.0/8",  # loopback
    "169.254.0.0/16",  # link-local
    "224.0.0.0/4",  # multicast
    "240.0.0.0/4",  # reserved, and the broadcast to all
    "fe80::/10",  # link-local
    "ff00::/8",  # multicast
)

Excluded = Annotated[
    str,
    Field(min_length=2, max_length=43),
    Rule(
        "isIP(self) || (isCIDR(self) && cidr(self) == cidr(self).masked())",
        "exclude takes addresses and networks: 192.0.2.7, or 192.0.2.16/28 with the network's first address",
    ),
]


class AddressRange(ApiModel):
    """Addresses from `start` to `end`, both included."""

    rules: ClassVar = (
        Rule(
            "!isIP(self.start) || ip(self.start).family() != 4 || !isIP(self.end) || ip(self.end).family() != 4 || "
            f"{_number('start')} <= {_number('end')}",
            "start must not lie behind end: exchange them",
        ),
    )

    start: IpAddress
    """The first address."""
    end: IpAddress
    """The last address."""


class Reservation(ApiModel):
    """An address that is given to nobody but its owner."""

    address: IpAddress
    """The address."""
    owner: Annotated[str, Field(min_length=1, max_length=317)]
    """Who has it: `NAMESPACE/NAME` of a Guest, which then gets it, or words for people."""
    reason: Annotated[str, Field(min_length=1, max_length=256)]
    """Why."""


class IPPoolSpec(ApiModel):
    """The addresses, and what guests need to use them."""

    rules: ClassVar = (
        exactly_one("clusters", "clusterSelector"),
        immutable("cidr", _ANOTHER),
        immutable("addressSpace", _ANOTHER),
        immutable("vlan", _ANOTHER),
        Rule(
            "!has(self.ranges) || !isCIDR(self.cidr) || self.ranges.all(r, "
            "(!isIP(r.start) || cidr(self.cidr).containsIP(r.start)) && "
            "(!isIP(r.end) || cidr(self.cidr).containsIP(r.end)))",
            "ranges must lie inside cidr",
            ".ranges",
        ),
        Rule(
            "!has(self.exclude) || !isCIDR(self.cidr) || self.exclude.all(a, "
            "(!isIP(a) || cidr(self.cidr).containsIP(a)) && (!isCIDR(a) || cidr(self.cidr).containsCIDR(a)))",
            "exclude must lie inside cidr",
            ".exclude",
        ),
        Rule(
            "!has(self.gateway) || !isCIDR(self.cidr) || !isIP(self.gateway) || "
            "cidr(self.cidr).containsIP(self.gateway) || "
            "(cidr(self.cidr).ip().family() == 6 && cidr('fe80::/10').containsIP(self.gateway))",
            "gateway must lie inside cidr, or be a link-local address (fe80::/10) of an IPv6 router",
            ".gateway",
        ),
        Rule(
            "!has(self.reservations) || !isCIDR(self.cidr) || self.reservations.all(r, "
            "!isIP(r.address) || cidr(self.cidr).containsIP(r.address))",
            "reservations must lie inside cidr",
            ".reservations",
        ),
        Rule(
            "!has(self.mtu) || !isCIDR(self.cidr) || cidr(self.cidr).ip().family() == 4 || self.mtu >= 1280",
            "IPv6 needs an mtu of at least 1280",
            ".mtu",
        ),
    )

    cidr: Annotated[
        str,
        Field(min_length=4, max_length=43),
        Rule("isCIDR(self)", "cidr must be a network, for example 192.0.2.0/24 or 2001:db8::/64"),
        Rule(
            "!isCIDR(self) || cidr(self) == cidr(self).masked()",
            "cidr must begin with the network's first address: 192.0.2.0/24, not 192.0.2.1/24",
        ),
        Rule(
            "!isCIDR(self) || (cidr(self).ip().family() == 4 "
            f"? cidr(self).prefixLength() >= {_IPV4[0]} && cidr(self).prefixLength() <= {_IPV4[1]} "
            f": cidr(self).prefixLength() >= {_IPV6[0]} && cidr(self).prefixLength() <= {_IPV6[1]})",
            f"the prefix of cidr must be from /{_IPV4[0]} to /{_IPV4[1]}, of IPv6 from /{_IPV6[0]} to /{_IPV6[1]}",
        ),
        Rule(
            f"!isCIDR(self) || ![{', '.join(map(repr, _NEVER))}].exists(n, cidr(n).containsCIDR(cidr(self)))",
            "cidr is for loopback, link-local addresses, multicast, or reserved: take a network that machines may have",
        ),
    ]
    """The network, with its real prefix; none that is for loopback, link-local addresses, multicast, or reserved."""
    address_space: DnsLabel = "default"
    """Pools of one address space share their addresses: none is given out twice in it."""
    ranges: Annotated[list[AddressRange], Field(max_length=32), ATOMIC] = Field(default_factory=list)
    """What may be given out; the whole network when empty."""
    exclude: Annotated[list[Excluded], Field(max_length=256), SET] = Field(default_factory=list)
    """Addresses, or networks as `192.0.2.16/28`, that are never given out. Nor are the network's
    first and last address, and the gateway."""
    reservations: Annotated[list[Reservation], Field(max_length=256), map_keys("address")] = Field(
        default_factory=list
    )
    """Addresses that only their owners get."""
    gateway: IpAddress | None = None
    """The guests' default gateway; none when absent. A guest with several interfaces uses, of each family, that of the
    first one whose pool has a gateway. An IPv6 guest without cloud-init learns one only if it is link-local, or its
    Cluster says `nat`."""
    dns: Annotated[list[IpAddress], Field(max_length=4), SET] = Field(default_factory=list)
    """Name servers for the guests."""
    search_domains: Annotated[list[DomainName], Field(max_length=8), ATOMIC] = Field(default_factory=list)
    """Domains that guests append to short names."""
    mtu: Mtu | None = None
    """The largest packet, in bytes, that guests send; their own default when absent."""
    vlan: Vlan | None = None
    """The VLAN of its guests; that of their Cluster when absent."""
    clusters: Annotated[list[ObjectName], Field(min_length=1, max_length=64), SET] | None = None
    """The Clusters whose guests may use it; or give `clusterSelector`."""
    cluster_selector: LabelSelector | None = None
    """Labels of the Clusters whose guests may use it."""
    quarantine: Annotated[
        str,
        Field(min_length=2, max_length=32, pattern=r"^([0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h))+$"),
    ] = "5m"
    """How long a released address rests before it is given out again, as `90s`, `5m` or `1h30m`; a tenth of
    it while no other address is free."""
    order: Order = Order.RANDOM
    """Which free address comes first: `Random` spreads guests, so that several operators seldom meet, and a
    released address comes late again; `Lowest` fills from the first one."""
    max_per_namespace: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How many of its addresses the guests of one namespace may hold; any number when absent."""


class IPPoolStatus(ApiModel):
    """Counters, never a list of addresses."""

    observed_generation: ObservedGeneration = -1
    """The generation that the operator has seen."""
    total: Counter = 0
    """Addresses that any guest may get, without reservations; no counter goes beyond 2^53-1."""
    used: Counter = 0
    """Addresses that guests hold."""
    free: Counter = 0
    """Addresses that are free."""
    quarantined: Counter = 0
    """Addresses that rest."""
    outside: Counter = 0
    """Addresses that guests hold and that the pool, since it was changed, would not give again."""
    conditions: Conditions = Field(default_factory=list)
    """`Ready`: the pool serves guests, as far as it has addresses. `Exhausted`: none is free. `Stalled` while it cannot
    serve."""


class IPPool(Kind):
    """Addresses for the guests of one or more clusters."""

    rules: ClassVar = (
        Rule(
            "self.metadata.name.size() <= 63",
            "an IPPool's name serves as a label's value: take at most 63 characters",
        ),
    )
    definition: ClassVar = Definition(
        plural="ippools",
        short_name="ipp",
        scope="Cluster",
        columns=(
            Column("CIDR", ".spec.cidr"),
            Column("Total", ".status.total", "integer"),
            Column("Used", ".status.used", "integer"),
            Column("Free", ".status.free", "integer"),
            Column("Quarantined", ".status.quarantined", "integer", wide=True),
            Column("Ready", READY.path, wide=True),
            AGE,
        ),
    )

    spec: IPPoolSpec
    """The addresses."""
    status: IPPoolStatus = IPPoolStatus()
    """Counters; written by the operator."""
