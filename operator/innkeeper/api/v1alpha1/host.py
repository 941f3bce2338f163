"""Host: a machine that runs guests.

Admins write the spec, the operator writes the status. Its name becomes part of the namespace `host-<name>`.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from innkeeper.api.fields import (
    Amounts,
    BytesWanted,
    Conditions,
    Counter,
    CpuAmount,
    ObjectName,
    ObservedGeneration,
)
from innkeeper.api.model import AGE, READY, ApiModel, Column, Definition, Kind, Rule, immutable, map_keys
from innkeeper.api.v1alpha1.placement import Taint

Percent = Annotated[int, Field(ge=1, le=2000)]
Hypervisor = Literal["KVM", "Emulation"]
StoreId = Annotated[str, Field(max_length=64)]
AgentVersion = Annotated[str, Field(max_length=64)]


class Overcommit(ApiModel):
    """How much is promised to guests, in percent of what the machine has."""

    cpu_percent: Percent = 100
    """CPUs; 100 means no overcommit."""
    memory_percent: Percent = 100
    """Memory."""
    disk_percent: Percent = 100
    """Disk."""


class Reserved(ApiModel):
    """What the machine keeps for itself."""

    cpu: CpuAmount = "0"
    """CPUs."""
    memory: BytesWanted = "0"
    """Memory in bytes."""
    disk: BytesWanted = "0"
    """Disk in bytes."""


class HostSpec(ApiModel):
    """What the admin wants of the machine."""

    rules: ClassVar = (
        immutable(
            "cluster", "its guests have addresses of that network; delete the Host and register it anew"
        ),
        Rule(
            "!has(oldSelf.lost) || has(self.lost)",
            "lost cannot be cleared: what the host held may run elsewhere; delete the Host and register it anew",
            ".lost",
        ),
    )

    cluster: ObjectName
    """The Cluster that it belongs to."""
    reserved: Reserved = Reserved()
    """What is kept back from guests."""
    overcommit: Overcommit = Overcommit()
    """How much more is promised than there is."""
    unschedulable: bool = False
    """Whether it takes no new guests; those it has run on."""
    maintenance: bool = False
    """Whether work on the machine is planned: it takes no new guests, and its status tells which it still has."""
    taints: Annotated[list[Taint], Field(max_length=16), map_keys("key", "effect")] = Field(
        default_factory=list
    )
    """What keeps guests off that do not tolerate it."""
    lost: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """A person's word, with the reason, that the machine is off and its store never returns. It is final."""
    allow_emulation: bool = False
    """Whether guests may run without KVM, slowly."""


class HistoryCursor(ApiModel):
    """How far what happened on a host was told as Events of its guests."""

    store_id: StoreId
    """The ID of the agent's store that was read."""
    seq: Counter
    """The last line of its change log that was read."""
    step: Counter
    """The last step of its guests' history that was told."""


class HostStatus(ApiModel):
    """What is known of the machine."""

    observed_generation: ObservedGeneration = -1
    """The generation that the operator has seen."""
    store_id: StoreId | None = None
    """The ID of the agent's store."""
    hypervisor: Hypervisor | None = None
    """How guests run: found out by running code."""
    agent_version: AgentVersion | None = None
    """Version of the agent."""
    schedulable: bool = False
    """Whether it takes new guests now."""
    guests: Counter = 0
    """How many guests are bound to it."""
    capacity: Amounts | None = None
    """What the machine has."""
    allocatable: Amounts | None = None
    """What may be promised to guests: capacity less what is reserved, times overcommit."""
    allocated: Amounts | None = None
    """What is promised to guests."""
    told: HistoryCursor | None = None
    """How far what happened there was told as Events of its guests."""
    conditions: Conditions = Field(default_factory=list)
    """`Ready`: its agent reports and can run guests. `Maintenance` while that is asked for: which guests are left.
    `Stalled` while only a person can make it Ready."""


class Host(Kind):
    """A machine with KVM, or with emulation where the admin allows it."""

    rules: ClassVar = (
        Rule(
            "self.metadata.name.size() <= 58 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
            "a Host's name becomes part of its namespace: take at most 58 of a-z, 0-9 and -, no dot",
        ),
    )
    definition: ClassVar = Definition(
        plural="hosts",
        short_name="hst",
        scope="Cluster",
        columns=(
            READY,
            Column("Schedulable", ".status.schedulable", "boolean"),
            Column("Cluster", ".spec.cluster"),
            Column("Guests", ".status.guests", "integer"),
            Column("CPU", ".status.allocatable.cpu"),
            Column("Memory", ".status.allocatable.memory"),
            Column("Maintenance", '.status.conditions[?(@.type=="Maintenance")].reason', wide=True),
            AGE,
        ),
    )

    spec: HostSpec
    """What the admin wants of the machine."""
    status: HostStatus = HostStatus()
    """What is known of it; written by the operator."""
