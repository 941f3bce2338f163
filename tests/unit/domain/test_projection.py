"""What a Guest's status says in each situation; `Ready` carries a generation only when the host reported that order."""

from dataclasses import dataclass, field

import pytest

from innkeeper.domain.lifecycle.blocked import STALLED
from innkeeper.domain.lifecycle.projection import Situation, conditions
from innkeeper.domain.reasons import ConditionType, GuestReason
from innkeeper.views.assignment import Assignment
from innkeeper.views.meta import Condition
from tests.kit import objects
from tests.kit.objects import DIGEST, view
from tests.kit.situations import DELETED, WAS_RUNNING, blocked, guest, host_says, report


@dataclass(frozen=True, kw_only=True)
class Case:
    """A situation and the conditions that tell of it; the steps are image, host and addresses."""

    name: str
    situation: Situation
    ready: tuple[str, str, int | None]
    stalled: str | None = None
    reconciling: str | None = None
    steps: tuple[str, str, str] = field(default=("True", "True", "True"))


NOTHING = ("Unknown", "Unknown", "Unknown")
CASES = [
    Case(
        name="untouched",
        situation=Situation(guest=guest(bound=False)),
        ready=("False", "Pending", None),
        steps=NOTHING,
    ),
    Case(
        name="no image",
        situation=Situation(
            guest=guest(bound=False),
            blocked=blocked(GuestReason.IMAGE_NOT_FOUND, ConditionType.IMAGE_RESOLVED),
        ),
        ready=("False", "ImageNotFound", None),
        stalled="ImageNotFound",
        steps=("False", "Unknown", "Unknown"),
    ),
    Case(
        name="no room, which passes by itself",
        situation=Situation(
            guest=guest(bound=False),
            blocked=blocked(
                GuestReason.NO_HOST_FITS, ConditionType.SCHEDULED, passed=(ConditionType.IMAGE_RESOLVED,)
            ),
        ),
        ready=("False", "NoHostFits", None),
        steps=("True", "False", "Unknown"),
    ),
    Case(name="bound", situation=Situation(guest=guest()), ready=("False", "WaitingForHost", None)),
    Case(
        name="bound to a host whose disk is full",
        situation=Situation(guest=guest(), host_ready=host_says("HostDiskFull")),
        ready=("False", "HostDiskFull", None),
    ),
    Case(
        name="bound to a host that says something else",
        situation=Situation(guest=guest(), host_ready=host_says("DriverFailed")),
        ready=("False", "WaitingForHost", None),
    ),
    Case(
        name="ordered, not answered",
        situation=Situation(guest=guest(), assignment=report(held=None, outcome="")),
        ready=("False", "WaitingForHost", None),
    ),
    Case(
        name="on its way",
        situation=Situation(guest=guest(), assignment=report("False", "Streaming")),
        ready=("False", "Streaming", 1),
    ),
    Case(
        name="running",
        situation=Situation(guest=guest(), assignment=report()),
        ready=("True", "Running", 1),
    ),
    Case(
        name="off on purpose",
        situation=Situation(guest=guest(), assignment=report("True", "Stopped")),
        ready=("True", "Stopped", 1),
    ),
    Case(
        name="power changed, not reported yet",
        situation=Situation(
            guest=guest(generation=2, ready=WAS_RUNNING), assignment=report(rank=(1, 2), generation=2)
        ),
        ready=("True", "Running", 1),
        reconciling="WaitingForHost",
    ),
    Case(
        name="power changed, order not written yet",
        situation=Situation(guest=guest(generation=2, ready=WAS_RUNNING), assignment=report()),
        ready=("True", "Running", 1),
        reconciling="WaitingForHost",
    ),
    Case(
        name="power changed, and its order cannot be made",
        situation=Situation(
            guest=guest(generation=2, ready=WAS_RUNNING),
            assignment=report(),
            blocked=blocked(GuestReason.ORDER_TOO_LARGE),
        ),
        ready=("True", "Running", 1),
        stalled="OrderTooLarge",
    ),
    Case(
        name="power changed, and the order waits",
        situation=Situation(
            guest=guest(generation=2, ready=WAS_RUNNING),
            assignment=report(),
            blocked=blocked(GuestReason.NO_HOST_FITS),
        ),
        ready=("True", "Running", 1),
        reconciling="NoHostFits",
    ),
    Case(
        name="power changed and reported",
        situation=Situation(
            guest=guest(generation=2, ready=WAS_RUNNING),
            assignment=report("True", "Stopped", rank=(1, 2), held=(1, 2), generation=2),
        ),
        ready=("True", "Stopped", 2),
    ),
    Case(
        name="crashed",
        situation=Situation(guest=guest(ready=WAS_RUNNING), assignment=report("False", "Crashed")),
        ready=("False", "Crashed", 1),
    ),
    Case(
        name="crashed, and its restart policy lets it rest",
        situation=Situation(
            guest=guest(ready=WAS_RUNNING, spec={"restartPolicy": "Never"}),
            assignment=report("False", "Crashed"),
        ),
        ready=("False", "Crashed", 1),
        stalled="Crashed",
    ),
    Case(
        name="powered off by itself, and its restart policy lets it rest",
        situation=Situation(guest=guest(ready=WAS_RUNNING), assignment=report("True", "Completed")),
        ready=("True", "Completed", 1),
    ),
    Case(
        name="stopped by a person at the host",
        situation=Situation(guest=guest(ready=WAS_RUNNING), assignment=report("False", "StoppedAtHost")),
        ready=("False", "StoppedAtHost", 1),
        stalled="StoppedAtHost",
    ),
    Case(
        name="an image that no new try mends",
        situation=Situation(guest=guest(), assignment=report("False", "ImageDigestMismatch")),
        ready=("False", "ImageDigestMismatch", 1),
        stalled="ImageDigestMismatch",
    ),
    Case(
        name="the host does not accept the order",
        situation=Situation(
            guest=guest(), assignment=report("False", "OrderInvalid", held=None, outcome="Invalid")
        ),
        ready=("False", "OrderInvalid", None),
        stalled="OrderInvalid",
    ),
    Case(
        name="the Assignment vanished under a running guest",
        situation=Situation(guest=guest(ready=WAS_RUNNING)),
        ready=("True", "Running", 1),
    ),
    Case(
        name="it runs on while its order cannot be made",
        situation=Situation(
            guest=guest(ready=WAS_RUNNING),
            assignment=report(),
            blocked=blocked(GuestReason.IMAGE_NOT_FOUND, ConditionType.IMAGE_RESOLVED),
        ),
        ready=("True", "Running", 1),
        stalled="ImageNotFound",
    ),
    Case(
        name="user data missing",
        situation=Situation(guest=guest(), blocked=blocked(GuestReason.USER_DATA_NOT_FOUND)),
        ready=("False", "UserDataNotFound", None),
        stalled="UserDataNotFound",
    ),
    Case(
        name="silent",
        situation=Situation(guest=guest(ready=WAS_RUNNING), assignment=report(), host_silent=True),
        ready=("Unknown", "HostUnreachable", None),
    ),
    Case(
        name="lost",
        situation=Situation(guest=guest(ready=WAS_RUNNING), assignment=report(), host_lost=True),
        ready=("False", "HostLost", None),
        stalled="HostLost",
    ),
    Case(
        name="lost beats silent",
        situation=Situation(guest=guest(), host_silent=True, host_lost=True),
        ready=("False", "HostLost", None),
        stalled="HostLost",
    ),
    Case(
        name="deleted",
        situation=Situation(guest=guest(ready=WAS_RUNNING, **DELETED), assignment=report()),
        ready=("False", "Deleting", None),
    ),
    Case(
        name="deleted on a silent host",
        situation=Situation(guest=guest(**DELETED), assignment=report(), host_silent=True),
        ready=("False", "DeletionWaitsForHost", None),
    ),
    Case(
        name="deleted before it was bound",
        situation=Situation(guest=guest(bound=False, **DELETED)),
        ready=("False", "Deleting", None),
        steps=NOTHING,
    ),
]

# A host's answer about a guest that is gone from it holds for every order of its epoch.
GONE = {"status": "False", "outcome": "Destroyed"}


@pytest.mark.parametrize(
    ("before", "rank", "wanted"),
    [
        (WAS_RUNNING, (1, 2), ("False", "ForgottenAtHost", 2)),
        (None, (1, 2), ("False", "ForgottenAtHost", 2)),
        (None, (2, 1), ("False", "WaitingForHost", None)),
    ],
    ids=["it ran before", "its order was given anew", "it has come back in a later epoch"],
)
def test_a_guest_that_was_taken_off_its_host_is_not_what_it_was(
    before: dict[str, str] | None, rank: tuple[int, int], wanted: tuple[str, str, int | None]
) -> None:
    said = "taken off this host by alice"
    answer = report(reason="ForgottenAtHost", message=said, rank=rank, held=(1, 1), generation=2, **GONE)
    found = conditions(Situation(guest=guest(generation=2, ready=before), assignment=answer))
    ready, stalled = of(found, ConditionType.READY), of(found, ConditionType.STALLED)
    assert ready is not None
    assert (ready.status, ready.reason, ready.observed_generation) == wanted
    assert (stalled is not None) == (ready.reason == "ForgottenAtHost")
    assert stalled is None or stalled.message == f"{said}; delete the Guest to make an end of it"


def test_a_guest_that_its_host_destroyed_is_none_that_waits_for_it() -> None:
    """The API server's store was put back, and no operator asked the hosts."""
    answer = report(reason="Destroyed", rank=(1, 2), held=(1, 3), **GONE)
    found = conditions(Situation(guest=guest(ready=WAS_RUNNING), assignment=answer))
    ready, stalled = of(found, ConditionType.READY), of(found, ConditionType.STALLED)
    assert ready is not None
    assert stalled is not None
    assert (ready.status, ready.reason) == ("False", "Destroyed")
    assert stalled.message == "its host destroyed it, and its disk does not return: delete the Guest"


def of(found: list[Condition], kind: ConditionType) -> Condition | None:
    return next((each for each in found if each.type == kind), None)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_situation_has_its_conditions(case: Case) -> None:
    found = conditions(case.situation)
    image, scheduled, addresses, ready, *rest = found
    assert (image.status, scheduled.status, addresses.status) == case.steps
    assert (ready.status, ready.reason, ready.observed_generation) == case.ready
    abnormal = {"Stalled": case.stalled, "Reconciling": case.reconciling}
    assert [(each.type, each.status, each.reason) for each in rest] == [
        (kind, "True", reason) for kind, reason in abnormal.items() if reason
    ]
    generation = case.situation.guest.metadata.generation
    assert all(each.observed_generation == generation for each in found if each.type != ConditionType.READY)


@pytest.mark.parametrize("reason", list(GuestReason))
def test_stalled_is_there_exactly_while_a_person_must_act(reason: GuestReason) -> None:
    found = conditions(Situation(guest=guest(bound=False), blocked=blocked(reason, ConditionType.SCHEDULED)))
    stalled, ready = of(found, ConditionType.STALLED), of(found, ConditionType.READY)
    assert ready is not None
    assert ready.message == "what to do"
    assert (stalled is not None) == (reason in STALLED)
    assert stalled is None or stalled.message == "what to do"


def test_the_steps_say_what_was_decided() -> None:
    image, scheduled, addresses, *_ = conditions(Situation(guest=guest()))
    assert (image.message, scheduled.message, addresses.message) == (DIGEST, "host a", "10.7.0.2")


@pytest.mark.parametrize("order", ["{}", "", '{"key":"a","payload":"{}","signature":""}'])
def test_an_order_that_cannot_be_read_lends_no_generation(order: str) -> None:
    said = {"outcome": "Accepted", "held": {"epoch": 1, "serial": 1}, "conditions": [objects.ready()]}
    unreadable = view(objects.assignment(order=order, status=said), Assignment)
    ready = of(conditions(Situation(guest=guest(), assignment=unreadable)), ConditionType.READY)
    assert ready is not None
    assert (ready.reason, ready.observed_generation) == ("WaitingForHost", None)


def test_a_guest_says_what_its_host_says_while_it_takes_no_order() -> None:
    found = conditions(Situation(guest=guest(), host_ready=host_says("HostDiskFull")))
    ready = next(each for each in found if each.type == "Ready")
    assert ready.message == "host a has not answered yet; it says HostDiskFull: make room"
