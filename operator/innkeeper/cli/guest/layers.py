"""How far a guest has come: layers that a caller can stop at, read from its object. Pure.

Each layer holds those before it. The binding counts for host and address, conditions for the rest: a condition is written
a moment after the binding. What is said of an older generation does not count.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from innkeeper.cli.guest.asking import AskingError
from innkeeper.cli.guest.exit_codes import ExitCode
from innkeeper.domain.reasons import ConditionType, GuestReason, Power

Document = Mapping[str, Any]
OFF = frozenset({GuestReason.STOPPED, GuestReason.STOPPED_AT_HOST, GuestReason.COMPLETED})
# They end by themselves once there is room; who asked for a guest now wants to know.
NO_ROOM = frozenset({GuestReason.NO_HOST_FITS, GuestReason.POOL_EXHAUSTED, GuestReason.POOL_LIMIT_REACHED})


class Layer(StrEnum):
    """Where a caller may stop."""

    IMAGE = "image"  # the Image is resolved
    HOST = "host"  # the guest is bound to a host
    ADDRESS = "address"  # its addresses are bound
    RUNNING = "running"  # its machine runs
    READY = "ready"  # it is Ready: its readiness probe succeeds, where it has one

    @property
    def number(self) -> int:
        """Which one it is, from 1."""
        return list(Layer).index(self) + 1


def condition(found: Document, kind: str) -> Document:
    """Return a condition of an object, or an empty one."""
    conditions = found.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind), {})


def reached(guest: Document) -> Layer | None:
    """Return the last layer that a guest has come to."""
    status, ready = guest.get("status", {}), condition(guest, ConditionType.READY)
    if is_current(guest, ready):
        if ready["status"] == "True":
            return Layer.READY
        if ready["reason"] in (GuestReason.RUNNING, GuestReason.NOT_ANSWERING):
            return Layer.RUNNING
    if status.get("host"):
        return Layer.ADDRESS if status.get("addresses") else Layer.HOST
    resolved = condition(guest, ConditionType.IMAGE_RESOLVED)
    return Layer.IMAGE if resolved.get("status") == "True" else None


def is_reached(guest: Document, layer: Layer) -> bool:
    """Tell whether a guest has come to a layer.

    Raises:
        AskingError: it never will by itself: it is off, and its machine was to run; or it is being deleted.
    """
    _see_that_it_stays(guest)
    now = reached(guest)
    reason = condition(guest, ConditionType.READY).get("reason")
    if layer is Layer.RUNNING and now is Layer.READY and reason in OFF:
        raise AskingError(f"{_name(guest)} is off: {reason}", code=ExitCode.STALLED)
    return now is not None and now.number >= layer.number


def check(guest: Document, *, waits_for_room: bool) -> None:
    """See that a guest still comes.

    Raises:
        AskingError: it is being deleted, or something has to be done first; the message says what.
    """
    name = _name(guest)
    _see_that_it_stays(guest)
    ready = condition(guest, ConditionType.READY)
    stalled = condition(guest, ConditionType.STALLED)
    if (
        stalled.get("status") == "True"
        and is_current(guest, stalled)
        and not _is_outdated_report(guest, ready)
    ):
        raise AskingError(f"{name}: {_words(stalled)}", code=ExitCode.STALLED)
    if _is_to_run(guest) and ready.get("reason") == GuestReason.PAUSED and is_current(guest, ready):
        raise AskingError(f"{name} is paused: kubectl guest resume {name}", code=ExitCode.STALLED)
    if waits_for_room:
        return
    for kind in (ConditionType.SCHEDULED, ConditionType.ADDRESSES_ASSIGNED):
        step = condition(guest, kind)
        if step.get("status") == "False" and step["reason"] in NO_ROOM and is_current(guest, step):
            raise AskingError(f"{name}: {_words(step)}", code=ExitCode.STALLED)


def told(guest: Document) -> str:
    """Return in words how far a guest has come, and what it waits for."""
    status, now = guest.get("status", {}), reached(guest)
    said = _words(condition(guest, ConditionType.READY)) or GuestReason.PENDING
    if now is None:
        return said
    if now is Layer.IMAGE:
        return f"{now}: {guest['spec']['image']['name']}; {said}"
    addresses = ", ".join(each["address"] for each in status.get("addresses", []))
    return f"{now}: {' '.join(word for word in (status.get('host'), addresses) if word)}; {said}"


def is_current(guest: Document, found: Document) -> bool:
    """Tell whether a condition speaks of what the guest is asked for now."""
    return bool(found) and found.get("observedGeneration", -1) >= guest["metadata"].get("generation", 0)


def _see_that_it_stays(guest: Document) -> None:
    if guest["metadata"].get("deletionTimestamp"):
        raise AskingError(f"{_name(guest)} is being deleted", code=ExitCode.DELETED)


def _is_to_run(guest: Document) -> bool:
    return bool(guest.get("spec", {}).get("power", Power.RUNNING) == Power.RUNNING)


def _is_outdated_report(guest: Document, ready: Document) -> bool:
    """Tell whether a host's trouble was reported of an older order: Stalled repeats it until the host knows the new one.

    The operator's own words of Ready carry no generation, and speak of now.
    """
    is_reported = ready.get("status") == "False" and "observedGeneration" in ready
    return is_reported and not is_current(guest, ready)


def _words(found: Document) -> str:
    return ": ".join(word for word in (found.get("reason"), found.get("message")) if word)


def _name(guest: Document) -> str:
    return str(guest["metadata"]["name"])
