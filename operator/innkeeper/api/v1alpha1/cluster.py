"""Cluster: hosts that share a network.

Admins write the spec, the operator writes the status.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from innkeeper.api.fields import Conditions, Counter, ObservedGeneration
from innkeeper.api.model import AGE, READY, ApiModel, Column, Definition, Kind, Rule, exactly_one

LinkName = Annotated[str, Field(min_length=1, max_length=15, pattern="^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
Vlan = Annotated[int, Field(ge=1, le=4094)]
Mtu = Annotated[int, Field(ge=576, le=9216)]


class ManagedBridge(ApiModel):
    """A bridge that the agent of each host makes and keeps."""

    rules: ClassVar = (
        Rule(
            "!(has(self.uplink) && self.nat)",
            "take uplink, for one network over all hosts, or nat, for guests behind their host's own address",
        ),
    )

    bridge: LinkName = "innkeeper0"
    """Its name on the hosts."""
    uplink: LinkName | None = None
    """An interface of each host that becomes a port of the bridge. It must have no address of its own: a host that
    is reached over it would be cut off."""
    nat: bool = False
    """Whether the host is its guests' gateway and hides them behind its own address. Guests on other hosts are then
    out of reach: for one host, and for trial."""


class Network(ApiModel):
    """The network of all hosts of a Cluster: one of their own, or one that the agents make."""

    rules: ClassVar = (exactly_one("bridge", "managed"),)

    bridge: LinkName | None = None
    """A bridge that exists on each host; all of them are one network. Or give `managed`."""
    managed: ManagedBridge | None = None
    """A bridge that the agents make."""
    vlan: Vlan | None = None
    """The VLAN of guests whose IPPool names none; their frames are untagged when absent."""
    mtu: Mtu | None = None
    """The largest packet, in bytes, that the network carries; 1500 when absent."""


class Scheduling(ApiModel):
    """How guests are placed on the hosts of a Cluster."""

    strategy: Literal["Spread", "Pack"] = "Spread"
    """`Spread` takes the emptiest host first, `Pack` the fullest."""


class ClusterSpec(ApiModel):
    """What the hosts share."""

    network: Network
    """Their network."""
    scheduling: Scheduling = Scheduling()
    """How guests are placed on them."""


class ClusterStatus(ApiModel):
    """Counters and readiness."""

    observed_generation: ObservedGeneration = -1
    """The generation that the operator has seen."""
    hosts: Counter = 0
    """How many hosts it has."""
    guests: Counter = 0
    """How many guests are bound to them."""
    conditions: Conditions = Field(default_factory=list)
    """`Ready`: at least one host is."""


class Cluster(Kind):
    """A grouping of hosts on one network."""

    definition: ClassVar = Definition(
        plural="clusters",
        short_name="clu",
        scope="Cluster",
        columns=(
            READY,
            Column("Hosts", ".status.hosts", "integer"),
            Column("Guests", ".status.guests", "integer"),
            AGE,
        ),
    )

    spec: ClusterSpec
    """What the hosts share."""
    status: ClusterStatus = ClusterStatus()
    """Counters and readiness; written by the operator."""
