"""IPPool: addresses for the guests of one or more clusters.

Admins write the spec, the operator writes counters into the status. IPv4 only for now. CEL checks each address
against the network; the controller checks what CEL cannot, as ranges that overlap.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from innkeeper.api.fields import Conditions, Counter, DnsLabel, Ipv4, ObjectName, ObservedGeneration
from innkeeper.api.model import AGE, ATOMIC, SET, ApiModel, Column, Definition, Kind, Rule, immutable

_ANOTHER = "guests hold addresses of it; create another IPPool"


def _number(address: str) -> str:
    octets = (f"int(self.{address}.split('.')[{index}]) * {256 ** (3 - index)}" for index in range(4))
    return f"({' + '.join(octets)})"


Excluded = Annotated[
    str,
    Field(min_length=7, max_length=18),
    Rule(
        "isIP(self) ? ip(self).family() == 4 : "
        "isCIDR(self) && cidr(self).ip().family() == 4 && cidr(self) == cidr(self).masked()",
        "exclude takes IPv4 addresses and networks: 192.0.2.7, or 192.0.2.16/28 with the network's first address",
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

    start: Ipv4
    """The first address."""
    end: Ipv4
    """The last address."""


class IPPoolSpec(ApiModel):
    """The addresses, and what guests need to use them."""

    rules: ClassVar = (
        immutable("cidr", _ANOTHER),
        immutable("addressSpace", _ANOTHER),
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
            "cidr(self.cidr).containsIP(self.gateway)",
            "gateway must lie inside cidr",
            ".gateway",
        ),
    )

    cidr: Annotated[
        str,
        Field(min_length=9, max_length=18),
        Rule(
            "isCIDR(self) && cidr(self).ip().family() == 4",
            "cidr must be an IPv4 network, for example 192.0.2.0/24",
        ),
        Rule(
            "!isCIDR(self) || cidr(self) == cidr(self).masked()",
            "cidr must begin with the network's first address: 192.0.2.0/24, not 192.0.2.1/24",
        ),
        Rule(
            "!isCIDR(self) || (cidr(self).prefixLength() >= 8 && cidr(self).prefixLength() <= 30)",
            "the prefix of cidr must be from /8 to /30",
        ),
    ]
    """The network, with its real prefix."""
    address_space: DnsLabel = "default"
    """Pools of one address space share their addresses: none is given out twice in it."""
    ranges: Annotated[list[AddressRange], Field(max_length=32), ATOMIC] = Field(default_factory=list)
    """What may be given out; the whole network when empty."""
    exclude: Annotated[list[Excluded], Field(max_length=256), SET] = Field(default_factory=list)
    """Addresses, or networks as `192.0.2.16/28`, that are never given out. Nor are the network's
    first and last address, and the gateway."""
    gateway: Ipv4 | None = None
    """The guests' default gateway; none when absent."""
    dns: Annotated[list[Ipv4], Field(max_length=4), SET] = Field(default_factory=list)
    """Name servers for the guests."""
    clusters: Annotated[list[ObjectName], Field(min_length=1, max_length=64), SET]
    """The Clusters whose guests may use it."""
    quarantine: Annotated[
        str,
        Field(min_length=2, max_length=32, pattern=r"^([0-9]{1,9}(\.[0-9]{1,9})?(ms|s|m|h))+$"),
    ] = "5m"
    """How long a released address rests before it is given out again, as `90s`, `5m` or `1h30m`."""


class IPPoolStatus(ApiModel):
    """Counters, never a list of addresses."""

    observed_generation: ObservedGeneration = -1
    """The generation that the operator has seen."""
    total: Counter = 0
    """Addresses that may be given out."""
    used: Counter = 0
    """Addresses that guests hold."""
    free: Counter = 0
    """Addresses that are free."""
    quarantined: Counter = 0
    """Addresses that rest."""
    conditions: Conditions = Field(default_factory=list)
    """`Ready`: addresses can be had."""


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
            AGE,
        ),
    )

    spec: IPPoolSpec
    """The addresses."""
    status: IPPoolStatus = IPPoolStatus()
    """Counters; written by the operator."""
