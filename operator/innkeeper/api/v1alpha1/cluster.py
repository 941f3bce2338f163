"""Cluster: hosts that share a network.

Admins write the spec, the operator writes the status.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from innkeeper.api.fields import Conditions, Counter, ObservedGeneration
from innkeeper.api.model import AGE, READY, ApiModel, Column, Definition, Kind


class Network(ApiModel):
    """The network of all hosts of a Cluster."""

    bridge: Annotated[str, Field(min_length=1, max_length=15, pattern="^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]
    """A bridge that exists on each host."""


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
