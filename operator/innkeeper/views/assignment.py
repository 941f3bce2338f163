"""Assignment as the operator and the agent read it."""

from innkeeper.views.meta import Condition, Meta, NamespacedName, View


class AssignmentSpec(View, frozen=True, kw_only=True):
    """The signed order, and plain copies of some of its fields for people (the agent reads `order` only)."""

    order: str
    guest: NamespacedName
    guest_id: str
    desired: str
    epoch: int
    serial: int
    image_digest: str = ""
    addresses: list[str] = []


class Held(View, frozen=True, kw_only=True):
    """The highest (epoch, serial) that the agent holds for this Guest ID."""

    epoch: int
    serial: int


class AddressConflict(View, frozen=True, kw_only=True):
    """An address of the order that another machine on the wire uses, and that machine's MAC.

    An earlier agent does not say of which interface it is.
    """

    address: str
    mac: str
    interface: str | None = None


class OperationReport(View, frozen=True, kw_only=True):
    """What became of the operation in the order."""

    id: str
    phase: str  # OperationPhase
    started_at: str | None = None
    finished_at: str | None = None
    reason: str | None = None
    message: str | None = None


class AssignmentStatus(View, frozen=True, kw_only=True):
    """The agent's answer."""

    observed_generation: int = -1
    outcome: str | None = None  # OrderOutcome: Accepted, Refused, Destroyed, Superseded, Invalid
    held: Held | None = None
    conflict: AddressConflict | None = None
    operation: OperationReport | None = None
    built_epoch: int | None = (
        None  # of the order by which the guest was last seen to have a disk on this host
    )
    conditions: list[Condition] = []


class Assignment(View, frozen=True, kw_only=True):
    """The complete order of one guest for one host, named after the Guest ID."""

    metadata: Meta
    spec: AssignmentSpec
    status: AssignmentStatus = AssignmentStatus()
