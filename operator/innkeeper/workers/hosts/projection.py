"""What people read about a Host: its status, made from its agent's report, its heartbeat and what was promised.

Pure. The order of the checks in `readiness` is the order of importance: the first that fails is the reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from innkeeper.domain.allocatable import allocatable
from innkeeper.domain.quantity import Amounts
from innkeeper.domain.reasons import ConditionType, HostReason, MaintenanceReason
from innkeeper.kube import conditions
from innkeeper.views.host import Host, HostAgent, HostSpec, HostStatus
from innkeeper.views.meta import Condition, Resources
from innkeeper.workers.hosts.silence import Hearing

_MOST_NAMES = 10
_STALLED = frozenset({HostReason.LOST, HostReason.CLUSTER_NOT_FOUND, HostReason.EMULATION_NOT_ALLOWED})
"""Reasons that end only when somebody changes something."""


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """What is known of one host beside its own object."""

    agent: HostAgent | None
    cluster_exists: bool
    hearing: Hearing
    guests: int = 0
    guest_names: tuple[str, ...] = ()  # while it is in maintenance: namespace/name of each
    promised: Amounts = field(default_factory=Amounts)
    assignments: int = 0


@dataclass(frozen=True)
class Readiness:
    """The Ready condition's content."""

    status: str
    reason: HostReason
    message: str

    @property
    def is_ready(self) -> bool:
        """Whether the host can run guests and is heard."""
        return self.status == "True"


def host_status(host: Host, facts: HostFacts, *, now: datetime) -> HostStatus:
    """Return the status that the Host should have."""
    ready = readiness(host, facts)
    told = [
        _condition(
            host, ConditionType.READY, status=ready.status, reason=ready.reason, message=ready.message
        ),
        *_maintenance(host, facts),
        *_stalled(host, ready),
    ]
    agent = facts.agent.status if facts.agent is not None else None
    # What an agent said stays known while its HostAgent is away, as after the deletion of its namespace.
    said = agent if agent is not None and agent.store_id is not None else None
    capacity = said.capacity if said else host.status.capacity
    return HostStatus(
        observed_generation=host.metadata.generation,
        store_id=said.store_id if said else host.status.store_id,
        hypervisor=said.hypervisor if said else host.status.hypervisor,
        agent_version=said.agent_version if said else host.status.agent_version,
        schedulable=ready.is_ready and not (host.spec.unschedulable or host.spec.maintenance),
        guests=facts.guests,
        capacity=capacity,
        allocatable=_allocatable(host.spec, capacity),
        allocated=facts.promised.quantities(),
        told=host.status.told,
        conditions=conditions.merged(host.status.conditions, told, now=now),
    )


def _maintenance(host: Host, facts: HostFacts) -> list[Condition]:
    """Tell which guests a host in maintenance still has; guests are moved by people, never from here."""
    if not host.spec.maintenance:
        return []
    left = max(facts.guests, len(facts.guest_names))  # a promise may not have its name yet
    reason, message = MaintenanceReason.EMPTY, "no guest is here: the machine can be worked on"
    if left:
        reason, message = MaintenanceReason.GUESTS_REMAIN, _who_is_left(left, facts.guest_names)
    return [_condition(host, ConditionType.MAINTENANCE, status="True", reason=reason, message=message)]


def _stalled(host: Host, ready: Readiness) -> list[Condition]:
    if ready.reason not in _STALLED:
        return []
    return [
        _condition(host, ConditionType.STALLED, status="True", reason=ready.reason, message=ready.message)
    ]


def _condition(host: Host, kind: ConditionType, *, status: str, reason: str, message: str) -> Condition:
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        observed_generation=host.metadata.generation,
    )


def _who_is_left(left: int, names: tuple[str, ...]) -> str:
    said = "1 guest is still here" if left == 1 else f"{left} guests are still here"
    shown = sorted(names)[:_MOST_NAMES]
    if not shown:
        return said
    more = f" and {left - len(shown)} more" if left > len(shown) else ""
    return f"{said}: {', '.join(shown)}{more}"


def readiness(host: Host, facts: HostFacts) -> Readiness:
    """Return whether the host can run guests, and why not."""
    return _of_people(host, facts) or _of_heartbeat(host, facts) or _of_agent(host, facts)


def _of_people(host: Host, facts: HostFacts) -> Readiness | None:
    if host.spec.lost is not None:
        return _no(HostReason.LOST, f"declared lost: {host.spec.lost}")
    if host.metadata.deletion_timestamp is not None:
        return _no(HostReason.WAITS_FOR_ASSIGNMENTS, _what_is_waited_for(facts))
    if not facts.cluster_exists:
        return _no(HostReason.CLUSTER_NOT_FOUND, f"there is no Cluster {host.spec.cluster!r}: create it")
    return None


def _what_is_waited_for(facts: HostFacts) -> str:
    if facts.assignments:
        left = "1 Assignment is" if facts.assignments == 1 else f"{facts.assignments} Assignments are"
        todo = "delete their Guests, or set spec.lost if the machine is off for good"
        return f"deleted, but {left} left: {todo}"
    if facts.guests:
        left = "1 guest is" if facts.guests == 1 else f"{facts.guests} guests are"
        return (
            f"deleted, but {left} bound to it: delete them, or set spec.lost if the machine is off for good"
        )
    return "deleted: its namespace goes first, and then the Host"


def _of_heartbeat(host: Host, facts: HostFacts) -> Readiness | None:
    reported = facts.agent is not None and facts.agent.status.store_id is not None
    if facts.hearing is Hearing.UNKNOWN or not (reported or host.status.store_id):
        return _no(
            HostReason.NEVER_REPORTED, "its agent has not reported yet: start it with this host's join file"
        )
    if facts.hearing is Hearing.SILENT:
        return _no(
            HostReason.SILENT,
            "its agent is not heard: look at the agent and the network; if the machine is off for good, set spec.lost",
        )
    if facts.hearing is Hearing.DOUBTFUL:
        return Readiness(
            "Unknown",
            HostReason.UNHEARD,
            "its agent is not heard, and neither are most others: the operator itself may be cut off",
        )
    return None


def _of_agent(host: Host, facts: HostFacts) -> Readiness:
    if facts.agent is None or facts.agent.status.store_id is None:
        return _no(
            HostReason.AGENT_NOT_READY, "its agent has not reported since its namespace was made again"
        )
    status = facts.agent.status
    if status.hypervisor == "Emulation" and not host.spec.allow_emulation:
        return _no(
            HostReason.EMULATION_NOT_ALLOWED,
            "KVM does not work on it: mend that, or set spec.allowEmulation for slow guests",
        )
    said = conditions.find(status.conditions, ConditionType.READY)
    if said is None or said.status != "True":
        return _no(
            HostReason.AGENT_NOT_READY,
            said.message if said and said.message else "its agent is not ready yet",
        )
    return Readiness("True", HostReason.READY, "its agent is heard and can run guests")


def _allocatable(spec: HostSpec, capacity: Resources | None) -> Resources | None:
    if capacity is None:
        return None
    found = allocatable(Amounts.of(capacity), reserved=spec.reserved, overcommit=spec.overcommit)
    return found.quantities()


def patch_of(old: HostStatus, new: HostStatus) -> Mapping[str, Any] | None:
    """Return the merge patch of `status` from old to new, or None where nothing differs."""
    if old == new:
        return None
    before, after = _document(old), _document(new)
    return {**dict.fromkeys(before.keys() - after.keys()), **after}


def _document(status: HostStatus) -> dict[str, Any]:
    # Defaults are left out of views on the wire; here a counter that fell to zero must be written.
    found = {name: msgspec.to_builtins(getattr(status, name)) for name in status.__struct_fields__}
    wire = {_camel(name): value for name, value in found.items() if value is not None}
    wire["conditions"] = [conditions.document(each) for each in status.conditions]
    return wire


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _no(reason: HostReason, message: str) -> Readiness:
    return Readiness("False", reason, message)
