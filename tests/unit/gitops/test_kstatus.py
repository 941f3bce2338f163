"""The rules of kstatus, one case each: deletion first, then generations, then abnormal conditions, then Ready."""

from typing import Any

import pytest

from tests.kit.kstatus import Status, status_of


def an_object(
    *conditions: tuple[str, str], generation: int | None = 2, observed: int | None = 2, **metadata: Any
) -> dict[str, Any]:
    told = [{"type": kind, "status": status} for kind, status in conditions]
    return {
        "metadata": {**metadata, **({} if generation is None else {"generation": generation})},
        "status": {"conditions": told, **({} if observed is None else {"observedGeneration": observed})},
    }


READY = ("Ready", "True")
DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
CASES: list[tuple[str, dict[str, Any] | None, Status]] = [
    ("not there", None, Status.NOT_FOUND),
    ("no status at all", {"metadata": {"generation": 1}, "spec": {}}, Status.CURRENT),
    ("a status without conditions", an_object(), Status.CURRENT),
    ("untouched, with the default of our CRDs", an_object(generation=1, observed=-1), Status.IN_PROGRESS),
    ("a change that nobody saw", an_object(READY, observed=1), Status.IN_PROGRESS),
    ("no observedGeneration to compare with", an_object(READY, observed=None), Status.CURRENT),
    ("no generation to compare with", an_object(READY, generation=None, observed=7), Status.CURRENT),
    ("Ready", an_object(READY), Status.CURRENT),
    ("not Ready", an_object(("Ready", "False")), Status.IN_PROGRESS),
    ("nobody knows whether Ready", an_object(("Ready", "Unknown")), Status.IN_PROGRESS),
    ("Ready with a word that means nothing", an_object(("Ready", "Perhaps")), Status.CURRENT),
    ("Reconciling beside Ready", an_object(READY, ("Reconciling", "True")), Status.IN_PROGRESS),
    ("Reconciling is False", an_object(READY, ("Reconciling", "False")), Status.CURRENT),
    ("Stalled beside Ready", an_object(READY, ("Stalled", "True")), Status.FAILED),
    ("Stalled is Unknown", an_object(READY, ("Stalled", "Unknown")), Status.CURRENT),
    ("Stalled, then a change", an_object(("Stalled", "True"), observed=1), Status.IN_PROGRESS),
    (
        "Reconciling before Stalled",
        an_object(("Reconciling", "True"), ("Stalled", "True")),
        Status.IN_PROGRESS,
    ),
    ("Stalled before Reconciling", an_object(("Stalled", "True"), ("Reconciling", "True")), Status.FAILED),
    ("other conditions", an_object(READY, ("Exhausted", "True"), ("InUse", "True")), Status.CURRENT),
    (
        "deleted, whatever else is told",
        an_object(("Stalled", "True"), observed=1, **DELETED),
        Status.TERMINATING,
    ),
    ("a generation that is a word", {"metadata": {"generation": "2"}}, Status.UNKNOWN),
    ("conditions that are no list", {"metadata": {}, "status": {"conditions": "Ready"}}, Status.UNKNOWN),
]


@pytest.mark.parametrize(
    ("document", "status"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_rule(document: dict[str, Any] | None, status: Status) -> None:
    assert status_of(document) is status
