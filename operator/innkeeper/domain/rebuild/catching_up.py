"""What a Guest from an older copy of the store lacks of what was ordered since: the host holds the order that tells it.

Three are compared, value by value: the Guest, the order that the copy holds of it, and the later one of the host. A value
that the Guest still has as in the copy's order is taken from the host's. One that is different was changed by somebody
whom no operator answered yet, so it stays: after the restore there was nobody to answer. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from innkeeper.domain import names
from innkeeper.domain.lifecycle.caught_up import NEVER, caught_up_mark, caught_up_with
from innkeeper.domain.lifecycle.ordering import is_ordered_annotation
from innkeeper.domain.lifecycle.revival import HeldOrder
from innkeeper.domain.orders import Order, OrderInvalidError, peek
from innkeeper.domain.rebuild.findings import Finding, FindingKind, rank_text
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest, GuestSpec, ReadinessProbe

POWER = "power"
_NO_ORDER = "no order"


@dataclass(frozen=True, kw_only=True)
class CatchingUp:
    """One Guest's part: what is to be written on it; None takes a value away."""

    guest: Guest
    held: HeldOrder
    spec: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str | None] = field(default_factory=dict)
    annotations: Mapping[str, str | None] = field(default_factory=dict)
    kept: tuple[str, ...] = ()  # what somebody changed since, by name
    lacks_order: bool = (
        False  # the API server holds none of it for that host, so it is given the host's as it is
    )

    @property
    def changes(self) -> tuple[str, ...]:
        """What is changed, by name; nothing where the Guest only has to say that it is no older than the order."""
        return (*self.spec, *_named("label", self.labels), *_named("annotation", self.annotations))

    @property
    def patch(self) -> dict[str, Any]:
        """The change to write."""
        mark = {names.CAUGHT_UP_ANNOTATION: caught_up_mark(self.guest, self.held.order.rank)}
        metadata = {"labels": dict(self.labels), "annotations": {**self.annotations, **mark}}
        return {"metadata": metadata, **({"spec": dict(self.spec)} if self.spec else {})}

    @property
    def is_due(self) -> bool:
        """Tell whether anything is to be written."""
        # An order that is given back must not look as if it were of a later Guest than this one.
        return bool(self.changes) or (self.lacks_order and _is_behind(self.guest, self.held.order))

    def message(self) -> str:
        """Return what people are told of what was taken from the host."""
        order = self.held.order
        power = [f"power {self.spec[POWER]}"] if POWER in self.spec else []
        named = [*power, *(each for each in self.changes if each != POWER)]
        return (
            f"{', '.join(named)}: taken from the order {rank_text(order.rank)}, which host {order.host} holds, since the "
            "API server's store was put back to a copy from before it. Apply what you want instead"
        )

    def findings(self) -> Iterator[Finding]:
        """Tell what counts of the host's order, and what somebody changed since, so that it stays."""
        order = self.held.order
        if self.changes:
            message = f"{order.namespace}/{order.name}: {self.message()}"
            yield Finding(
                kind=FindingKind.CAUGHT_UP, host=order.host, subject=order.guest_id, message=message
            )
        if self.kept:
            message = (
                f"{order.namespace}/{order.name}: {', '.join(self.kept)} stays as in the API server: it was changed "
                "since the copy that the store was put back to, or that copy holds no order that tells; host "
                f"{order.host} holds something else by the order {rank_text(order.rank)}"
            )
            yield Finding(
                kind=FindingKind.CHANGED_SINCE, host=order.host, subject=order.guest_id, message=message
            )

    def not_taken(self, why: str) -> Finding:
        """Return what is told where the API server refuses it: without its power, the guest must not be led on."""
        order = self.held.order
        name = f"{order.namespace}/{order.name}"
        if POWER in self.spec:
            kind = FindingKind.NOT_CAUGHT_UP
            message = (
                f"the power of {name} is {self.guest.spec.power} in an older copy of the API server's store, and "
                f"{self.spec[POWER]} on host {order.host} by the order {rank_text(order.rank)}; the Guest cannot be "
                f"changed: {why}. Set its spec.power to {self.spec[POWER]} yourself, and change it once an operator leads"
            )
        else:
            kind = FindingKind.NOT_MADE
            message = (
                f"{name} cannot be brought to the order {rank_text(order.rank)}, which host {order.host} holds "
                f"({', '.join(self.changes)}): {why}"
            )
        return Finding(kind=kind, host=order.host, subject=order.guest_id, message=message)


def may_lag(guest: Guest, order: Order) -> bool:
    """Tell whether a Guest is worth a look at the order that the API server holds of it."""
    status, metadata = guest.status, guest.metadata
    is_older = status.epoch < order.epoch or (status.epoch == order.epoch and status.host == order.host)
    if not is_older or metadata.deletion_timestamp is not None or caught_up_with(guest) >= order.rank:
        return False
    # A Guest that says so without a binding was made, or taken over, by a rebuild: it is no older than the order.
    is_made_anew = names.REVIVED_FROM_ANNOTATION in metadata.annotations and status.host is None
    return not is_made_anew and (_is_behind(guest, order) or _carried(guest) != _told(order))


def catching_up(guest: Guest, held: HeldOrder, assignment: Assignment | None) -> CatchingUp | None:
    """Return what is to be done; None where nothing is, since the API server knows that very order, or a later one.

    `assignment` is what the API server holds beside the Guest.
    """
    before = _read(assignment)
    rank = before.rank if before is not None else NEVER
    is_made_anew = before is None and names.REVIVED_FROM_ANNOTATION in guest.metadata.annotations
    if is_made_anew or rank >= held.order.rank or not may_lag(guest, held.order):
        return None
    if before is None and _was_answered_since(guest, held.order):
        return None
    found = _compared(guest, held, before)
    return found if found.is_due or found.kept else None


def _compared(guest: Guest, held: HeldOrder, before: Order | None) -> CatchingUp:
    order = held.order
    now = guest.metadata
    spec, kept = _of_spec(guest, order, before)
    labels, kept_labels = _of_marks(
        _own(now.labels), _own(order.labels), _own(before.labels) if before else None
    )
    annotations, kept_annotations = _of_marks(
        _ordered(now.annotations),
        _ordered(order.annotations),
        _ordered(before.annotations) if before else None,
    )
    return CatchingUp(
        guest=guest,
        held=held,
        spec=spec,
        labels=labels,
        annotations=annotations,
        kept=(*kept, *_named("label", kept_labels), *_named("annotation", kept_annotations)),
        # What the copy holds may be for a host that the guest left since.
        lacks_order=before is None or guest.status.host != order.host,
    )


def _of_spec(guest: Guest, order: Order, before: Order | None) -> tuple[dict[str, Any], list[str]]:
    now, later = _changeable(guest.spec), _changeable(order.spec)
    if before is not None:
        base = _changeable(before.spec)
    elif guest.metadata.generation > max(1, guest.status.observed_generation):
        base = dict.fromkeys(now, _NO_ORDER)  # somebody changed it, and nothing tells what
    else:
        base = now
    differing = [name for name in now if now[name] != later[name]]
    taken = {name: later[name] for name in differing if now[name] == base[name]}
    if isinstance(taken.get("readinessProbe"), ReadinessProbe):
        taken["readinessProbe"] = _whole(taken["readinessProbe"])
    return taken, [name for name in differing if name not in taken]


def _of_marks(
    now: Mapping[str, str], later: Mapping[str, str], before: Mapping[str, str] | None
) -> tuple[dict[str, str | None], list[str]]:
    """Compare labels or annotations; where no order of before is there, none is taken away or replaced."""
    base = before or {}
    differing = sorted(key for key in now.keys() | later.keys() if now.get(key) != later.get(key))
    if before is None:
        differing = [key for key in differing if key in later]
    taken = {key: later.get(key) for key in differing if now.get(key) == base.get(key)}
    return taken, [key for key in differing if key not in taken]


def _is_behind(guest: Guest, order: Order) -> bool:
    """Tell whether an order was made from a later generation of this very object."""
    return order.guest_id == guest.metadata.uid and order.generation > guest.metadata.generation


def _was_answered_since(guest: Guest, order: Order) -> bool:
    """Tell whether an operator saw a later generation of this very object: it is the host that is behind."""
    return order.guest_id == guest.metadata.uid and order.generation < guest.status.observed_generation


def _read(assignment: Assignment | None) -> Order | None:
    if assignment is None:
        return None
    try:
        return peek(assignment.spec.order)
    except OrderInvalidError:
        return None


def _carried(guest: Guest) -> tuple[Any, ...]:
    metadata = guest.metadata
    return _changeable(guest.spec), _own(metadata.labels), _ordered(metadata.annotations)


def _told(order: Order) -> tuple[Any, ...]:
    return _changeable(order.spec), _own(order.labels), _ordered(order.annotations)


def _changeable(spec: GuestSpec) -> dict[str, Any]:
    """Return what may be changed in a Guest's spec; all else of it is immutable."""
    return {
        POWER: spec.power,
        "restartPolicy": spec.restart_policy,
        "readinessProbe": spec.readiness_probe,
    }


def _own(labels: Mapping[str, str]) -> dict[str, str]:
    """Return labels without the one by which a pipeline knows its own: it takes and leaves Guests itself."""
    return {key: value for key, value in labels.items() if key != names.ARGO_INSTANCE_LABEL}


def _ordered(annotations: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in annotations.items() if is_ordered_annotation(key)}


def _whole(probe: ReadinessProbe) -> dict[str, Any]:
    """Return a probe so that a merge leaves nothing of another one."""
    absent = {each.encode_name: None for each in msgspec.structs.fields(ReadinessProbe)}
    return {**absent, **msgspec.to_builtins(probe)}


def _named(what: str, keys: Iterable[str]) -> list[str]:
    return [f"{what} {key}" for key in keys]
