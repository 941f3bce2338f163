"""GuestOperation: something that is done to a guest once: rebooted, paused, resumed.

Users create it and change nothing afterwards; the operator alone writes the status, from what the guest's host reports,
and deletes it some time after its end. What a guest shall be for good stands in the Guest, never here.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from innkeeper.api.fields import Conditions, DnsLabel, GuestId, ObservedGeneration, Time
from innkeeper.api.model import AGE, ApiModel, Column, Definition, Kind, Rule, map_keys
from innkeeper.domain.reasons import OperationKind, OperationPhase, OperationStep

MAX_TTL_S = 30 * 86_400


class GuestOperationSpec(ApiModel):
    """What is to be done, and to whom. Immutable."""

    rules: ClassVar = (
        Rule("self == oldSelf", "a GuestOperation's spec is immutable: create another GuestOperation"),
    )

    guest_name: DnsLabel
    """The Guest, in the same namespace."""
    operation: OperationKind
    """`Reboot` lets it power off, `HardReboot` takes its power; then it starts. `Pause` and `Resume` keep its memory."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=MAX_TTL_S)] = 3600
    """How long the object stays after its end, in seconds."""


class OperationStepTime(ApiModel):
    """When the operation was seen at a step."""

    name: OperationStep
    """The step."""
    at: Time
    """When the operator saw it there."""


class GuestOperationStatus(ApiModel):
    """How far it is; written by the operator."""

    observed_generation: ObservedGeneration = -1
    """The generation that the operator has seen."""
    guest_id: GuestId | None = None
    """The Guest ID of the guest that it is for: a later Guest of that name is another one."""
    phase: OperationPhase | None = None
    """Where it is in its life."""
    started_at: Time | None = None
    """When the host began, by its own clock."""
    finished_at: Time | None = None
    """When it ended, by the same clock."""
    steps: Annotated[list[OperationStepTime], Field(max_length=4), map_keys("name")] = Field(
        default_factory=list
    )
    """When it was seen at each step, by the operator's clock."""
    conditions: Conditions = Field(default_factory=list)
    """`Ready`: it succeeded; `Stalled` where it failed, which is final."""


class GuestOperation(Kind):
    """Something that is done to a guest once."""

    definition: ClassVar = Definition(
        plural="guestoperations",
        short_name="gop",
        scope="Namespaced",
        columns=(
            Column("Guest", ".spec.guestName"),
            Column("Operation", ".spec.operation"),
            Column("Phase", ".status.phase"),
            Column("Reason", '.status.conditions[?(@.type=="Ready")].reason', wide=True),
            AGE,
        ),
    )

    spec: GuestOperationSpec
    """What is to be done."""
    status: GuestOperationStatus = GuestOperationStatus()
    """How far it is; written by the operator."""
