"""Situations of a Guest for the projection, and the status that the operator writes in each of them."""

from typing import Any

import msgspec

from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.lifecycle.ordering import Ingredients, compose
from innkeeper.domain.lifecycle.projection import Situation, conditions
from innkeeper.domain.orders import Rank, Signer
from innkeeper.domain.reasons import ConditionType, GuestReason
from innkeeper.kube.conditions import documents
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest
from innkeeper.views.meta import Condition
from tests.kit import objects
from tests.kit.clock import START
from tests.kit.objects import DIGEST, GUEST_ID, view

BOUND: dict[str, Any] = {
    "host": "a",
    "epoch": 1,
    "image": {"namespace": "default", "name": "debian", "digest": DIGEST},
    "resources": {"cpu": "1", "memory": "1Gi", "disk": "10Gi"},
    "addresses": [{"interface": "eth0", "pool": "lab", "address": "10.7.0.2", "mac": "02:00:00:00:00:01"}],
}
WAS_RUNNING = {**objects.ready("True", "Running"), "observedGeneration": 1}
DELETED: dict[str, Any] = {"deletionTimestamp": objects.NOW}


def guest(
    *,
    generation: int = 1,
    bound: bool = True,
    ready: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    **metadata: Any,
) -> Guest:
    """Return a Guest that the operator reads; bound to host `a`, unless it is not to be."""
    status = {**(BOUND if bound else {}), "conditions": [ready] if ready else []}
    return view(objects.guest(spec=spec, status=status, uid="u1", generation=generation, **metadata), Guest)


def host_says(reason: str) -> Condition:
    """Return the Ready of a Host that takes no orders."""
    return Condition(type="Ready", status="False", reason=reason, message="make room", observed_generation=1)


def report(
    status: str = "True",
    reason: str = "Running",
    *,
    message: str = "",
    rank: tuple[int, int] = (1, 1),
    held: tuple[int, int] | None = (1, 1),
    outcome: str = "Accepted",
    generation: int = 1,
) -> Assignment:
    """Return the Assignment of a host that has reported: of which order it speaks is up to `held` and `generation`."""
    ingredients = Ingredients(guest_id=GUEST_ID, store_id="store-1", host="a", addresses=(), image=None)
    order = Signer(b"\x01" * 32).sign(compose(guest(generation=generation), ingredients, rank=Rank(*rank)))
    said = {
        "outcome": outcome,
        "conditions": [objects.ready(status, reason, message)],
        **({"held": {"epoch": held[0], "serial": held[1]}} if held else {}),
    }
    return view(objects.assignment(rank=rank, order=order, status=said), Assignment)


def blocked(reason: GuestReason, step: ConditionType = ConditionType.READY, **more: Any) -> Blocked:
    """Return why a guest cannot go on."""
    return Blocked(step=step, reason=reason, message="what to do", **more)


def told(situation: Situation) -> dict[str, Any]:
    """Return a Guest's document as the API server has it once the operator has told of a situation."""
    document: dict[str, Any] = msgspec.to_builtins(situation.guest)
    document["status"]["conditions"] = documents([], conditions(situation), now=START)
    return document
