"""A condition's transition time moves with its status, and with nothing else."""

from datetime import UTC, datetime

import pytest

from innkeeper.kube import conditions
from innkeeper.views.meta import Condition

BEFORE, NOW = "2026-01-01T00:00:00Z", datetime(2026, 1, 2, tzinfo=UTC)
HELD = [
    Condition(type="Ready", status="False", reason="Pending", message="waits", last_transition_time=BEFORE),
    Condition(type="Scheduled", status="True", reason="Scheduled", last_transition_time=BEFORE),
]


def ready(status: str, message: str = "") -> Condition:
    return Condition(type="Ready", status=status, reason="Running", message=message)


@pytest.mark.parametrize(("status", "moved"), [("True", True), ("Unknown", True), ("False", False)])
def test_the_transition_time_moves_with_the_status(status: str, *, moved: bool) -> None:
    found = conditions.documents(HELD, [ready(status, message="new"), HELD[1]], now=NOW)
    assert found[0] == {
        "type": "Ready",
        "status": status,
        "reason": "Running",
        "message": "new",
        "lastTransitionTime": "2026-01-02T00:00:00Z" if moved else BEFORE,
    }
    assert found[1]["lastTransitionTime"] == BEFORE


def test_a_new_type_moves_now() -> None:
    found = conditions.documents(HELD[1:], [HELD[1], ready("True")], now=NOW)
    assert [each["type"] for each in found] == ["Scheduled", "Ready"]
    assert found[1]["lastTransitionTime"] == "2026-01-02T00:00:00Z"


def test_what_is_no_longer_wanted_goes() -> None:
    assert [each.type for each in conditions.merged(HELD, [ready("True")], now=NOW)] == ["Ready"]


def test_nothing_changes_when_the_same_is_wanted() -> None:
    assert conditions.merged(HELD, HELD, now=NOW) == HELD


def test_the_generation_goes_along_and_messages_are_cut() -> None:
    long = Condition(type="Ready", status="True", message="x" * 5000, observed_generation=3)
    [found] = conditions.documents([], [long], now=NOW)
    assert found["observedGeneration"] == 3
    assert len(found["message"]) == conditions.MAX_MESSAGE


def test_find() -> None:
    assert conditions.find(HELD, "Scheduled") is HELD[1]
    assert conditions.find(HELD, "Stalled") is None
