"""What kstatus says of an object: the rules by which Flux, and whoever uses that library, tells how far one is.

Written anew from the rules that cli-utils documents (sigs.k8s.io/cli-utils/pkg/kstatus: its README and the comments of
`status.Compute`, v0.37.2), for kinds that have no rules of their own there, as all of ours. The real library judges a
corpus of objects beside this one in tests/integration/operator/test_kstatus_library.py.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How far an object is, in the library's words."""

    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    CURRENT = "Current"
    TERMINATING = "Terminating"
    NOT_FOUND = "NotFound"
    UNKNOWN = "Unknown"


class _UnreadableError(Exception):
    """A field is of another type than the rules speak of."""


def status_of(document: Mapping[str, Any] | None) -> Status:
    """Return the status of an object as JSON has it; None is an object that is not there.

    An object that the library cannot read is Unknown, as those who ask the library take it.
    """
    if document is None:
        return Status.NOT_FOUND
    try:
        return _of_metadata(document) or _of_conditions(document)
    except _UnreadableError:
        return Status.UNKNOWN


def _of_metadata(document: Mapping[str, Any]) -> Status | None:
    """What deletion and generation decide, before any condition is looked at."""
    metadata = _mapping(document, "metadata")
    if _field(metadata, "deletionTimestamp", str):
        return Status.TERMINATING
    generation = _field(metadata, "generation", int)
    if generation is None:
        return None
    observed = _field(_mapping(document, "status"), "observedGeneration", int)
    return Status.IN_PROGRESS if observed is not None and observed != generation else None


def _of_conditions(document: Mapping[str, Any]) -> Status:
    """The two abnormal conditions go first, in the order in which they stand; then Ready; without any all is well."""
    told = list(_conditions(document))
    abnormal = {("Reconciling", "True"): Status.IN_PROGRESS, ("Stalled", "True"): Status.FAILED}
    ready = {
        ("Ready", "True"): Status.CURRENT,
        ("Ready", "False"): Status.IN_PROGRESS,
        ("Ready", "Unknown"): Status.IN_PROGRESS,
    }
    for meanings in (abnormal, ready):
        found = next((meanings[each] for each in told if each in meanings), None)
        if found is not None:
            return found
    return Status.CURRENT


def _conditions(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    conditions = _field(_mapping(document, "status"), "conditions", list) or []
    for condition in conditions:
        if not isinstance(condition, Mapping):
            raise _UnreadableError
        yield _field(condition, "type", str) or "", _field(condition, "status", str) or ""


def _mapping(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return _field(document, name, Mapping) or {}


def _field(document: Mapping[str, Any], name: str, kind: type) -> Any:
    """Return a field, or None where it is absent."""
    found = document.get(name)
    if found is not None and (not isinstance(found, kind) or isinstance(found, bool)):
        raise _UnreadableError
    return found
