"""Conditions as `metav1.Condition` wants them: one of each type, the transition time moving with the status only."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from innkeeper.clock import rfc3339
from innkeeper.views.meta import Condition

MAX_MESSAGE = 1024


def find(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of a type, or None."""
    return next((each for each in conditions if each.type == kind), None)


def merged(old: Sequence[Condition], new: Iterable[Condition], *, now: datetime) -> list[Condition]:
    """Return the new conditions with transition times: kept where the status is the same, `now` where it changed."""
    return [_timed(each, find(old, each.type), now) for each in new]


def _timed(new: Condition, old: Condition | None, now: datetime) -> Condition:
    same = old is not None and old.status == new.status
    return Condition(
        type=new.type,
        status=new.status,
        reason=new.reason,
        message=new.message[:MAX_MESSAGE],
        observed_generation=new.observed_generation,
        last_transition_time=old.last_transition_time if same and old else rfc3339(now),
    )


def document(condition: Condition) -> dict[str, Any]:
    """Return a condition as it goes on the wire."""
    found: dict[str, Any] = {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": condition.last_transition_time,
    }
    if condition.observed_generation is not None:
        found["observedGeneration"] = condition.observed_generation
    return found


def documents(old: Sequence[Condition], new: Iterable[Condition], *, now: datetime) -> list[dict[str, Any]]:
    """Return the new conditions as they go on the wire."""
    return [document(each) for each in merged(old, new, now=now)]
