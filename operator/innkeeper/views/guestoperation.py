"""GuestOperation as the operator reads it."""

from innkeeper.views.meta import Condition, Meta, View


class GuestOperationSpec(View, frozen=True, kw_only=True):
    """What is to be done, and to whom."""

    guest_name: str
    operation: str  # OperationKind
    ttl_seconds_after_finished: int = 3600


class OperationStepTime(View, frozen=True, kw_only=True):
    """When the operation came to a step."""

    name: str  # OperationStep
    at: str


class GuestOperationStatus(View, frozen=True, kw_only=True):
    """How far it is."""

    observed_generation: int = -1
    guest_id: str | None = None
    phase: str | None = None  # OperationPhase
    started_at: str | None = None
    finished_at: str | None = None
    steps: list[OperationStepTime] = []
    conditions: list[Condition] = []


class GuestOperation(View, frozen=True, kw_only=True):
    """Something that is done to a guest once."""

    metadata: Meta
    spec: GuestOperationSpec
    status: GuestOperationStatus = GuestOperationStatus()
