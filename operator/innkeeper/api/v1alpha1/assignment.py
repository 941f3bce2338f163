"""Assignment: the complete order of one guest for one host.

It lies in the host's namespace and is named after the Guest ID. The operator writes the spec, that host's agent
the status. The agent obeys `order` alone; the fields beside it are for people.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from innkeeper.api.fields import (
    Conditions,
    Counter,
    DigestOrNone,
    GuestId,
    MacAddress,
    NamespacedName,
    ObservedGeneration,
    Time,
    WrittenIp,
)
from innkeeper.api.model import AGE, ATOMIC, READY, ApiModel, Column, Definition, Kind, Rule, immutable
from innkeeper.domain.orders import MAX_ORDER_BYTES
from innkeeper.domain.reasons import Desired, OperationPhase, OrderOutcome

_ANOTHER = "another guest has another Assignment"


class AssignmentSpec(ApiModel):
    """The signed order, and copies of some of its fields for people."""

    rules: ClassVar = (
        immutable("guest", _ANOTHER),
        immutable("guestId", _ANOTHER),
        Rule(
            "self.epoch > oldSelf.epoch || (self.epoch == oldSelf.epoch && self.serial >= oldSelf.serial)",
            "an order never takes the place of a later one: epoch and serial must not fall",
        ),
    )

    order: Annotated[str, Field(min_length=1, max_length=MAX_ORDER_BYTES)]
    """What the agent obeys: one opaque string with a signature."""
    guest: NamespacedName
    """The Guest."""
    guest_id: GuestId
    """The Guest ID."""
    desired: Desired
    """What the order asks for."""
    epoch: Counter
    """How often the guest was given to a host."""
    serial: Counter
    """The number of this order within its epoch."""
    image_digest: DigestOrNone = ""
    """Digest of the image."""
    addresses: Annotated[list[WrittenIp], Field(max_length=16), ATOMIC] = Field(default_factory=list)
    """The guest's addresses."""


class Held(ApiModel):
    """The latest order that the agent holds for this Guest ID."""

    epoch: Counter
    """Its epoch."""
    serial: Counter
    """Its serial."""


class AddressConflict(ApiModel):
    """An address of the order that another machine on the wire uses."""

    address: WrittenIp
    """The address."""
    mac: MacAddress
    """The machine that answered for it."""
    interface: Annotated[str, Field(max_length=15)] | None = None
    """The guest's interface that it is for."""


class OperationReport(ApiModel):
    """What became of the operation in the order."""

    id: Annotated[str, Field(min_length=1, max_length=63)]
    """The UID of its GuestOperation."""
    phase: OperationPhase
    """How far it is."""
    started_at: Time | None = None
    """When the agent began."""
    finished_at: Time | None = None
    """When it ended."""
    reason: Annotated[str, Field(max_length=64)] | None = None
    """Why it failed, as a CamelCase word."""
    message: Annotated[str, Field(max_length=1024)] | None = None
    """The same for people."""


class AssignmentStatus(ApiModel):
    """The agent's answer."""

    observed_generation: ObservedGeneration = -1
    """The generation that the agent has seen."""
    outcome: OrderOutcome | None = None
    """What the agent made of the order."""
    held: Held | None = None
    """The latest order that it holds."""
    conflict: AddressConflict | None = None
    """Why the order was refused, where the reason is `AddressInUse`."""
    operation: OperationReport | None = None
    """What became of the operation in the order, once the agent began it."""
    built_epoch: Counter | None = None
    """The epoch of the order by which the guest was last seen to have a disk here. An agent whose store was lost goes by
    it, and makes no empty disk for such a guest."""
    conditions: Conditions = Field(default_factory=list)
    """`Ready`: the guest is as ordered; its reasons are the steps on the host."""


class Assignment(Kind):
    """The complete order of one guest for one host."""

    rules: ClassVar = (
        Rule(
            "self.metadata.name == self.spec.guestId",
            "an Assignment's name must be the Guest ID in spec.guestId",
        ),
    )
    definition: ClassVar = Definition(
        plural="assignments",
        short_name="asg",
        scope="Namespaced",
        columns=(
            Column("Guest-Namespace", ".spec.guest.namespace"),
            Column("Guest", ".spec.guest.name"),
            Column("Desired", ".spec.desired"),
            Column("Outcome", ".status.outcome"),
            READY,
            Column("Reason", '.status.conditions[?(@.type=="Ready")].reason'),
            Column("Epoch", ".spec.epoch", "integer", wide=True),
            Column("Serial", ".spec.serial", "integer", wide=True),
            AGE,
        ),
    )

    spec: AssignmentSpec
    """The order; written by the operator."""
    status: AssignmentStatus = AssignmentStatus()
    """The answer; written by the host's agent."""
