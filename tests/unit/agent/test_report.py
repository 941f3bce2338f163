"""What is told of an Assignment, and when nothing is."""

from dataclasses import replace

import msgspec
import pytest

from innkeeper.agent.report import AssignmentReport, Key, Verdict
from innkeeper.agent.store.records import Ready
from innkeeper.domain.orders import Rank
from innkeeper.domain.reasons import OrderOutcome
from innkeeper.views.assignment import Assignment, AssignmentSpec, AssignmentStatus, Held
from innkeeper.views.meta import Condition, Meta, NamespacedName
from tests.kit.clock import ManualClock

KEY: Key = ("host-inn-a", "g")
VERDICT = Verdict(uid="u1", generation=2, outcome=OrderOutcome.ACCEPTED, held=Rank(1, 2))
SPEC = AssignmentSpec(
    order="",
    guest=NamespacedName(namespace="n", name="g"),
    guest_id="g",
    desired="Running",
    epoch=1,
    serial=2,
)
RUNNING = Condition(
    type="Ready",
    status="True",
    reason="Running",
    observed_generation=2,
    last_transition_time="2025-01-01T00:00:00Z",
)
TOLD = AssignmentStatus(
    observed_generation=2, outcome="Accepted", held=Held(epoch=1, serial=2), conditions=[RUNNING]
)


class Scene:
    """A report, and what surrounds it."""

    def __init__(self, *, uid: str = "u1", status: AssignmentStatus | None = None) -> None:
        metadata = Meta(name="g", namespace="host-inn-a", uid=uid, generation=2)
        self.assignment: Assignment | None = Assignment(
            metadata=metadata, spec=SPEC, status=status or AssignmentStatus()
        )
        self.touched: list[bool] = []
        self.built_epoch: int | None = None
        self.report = AssignmentReport(
            namespace="host-inn-a",
            shown=lambda _: Ready(True, "Running"),
            operation=lambda _: None,
            built_epoch=lambda _: self.built_epoch,
            read=lambda _: self.assignment,
            touch=self.touch,
            clock=ManualClock(),
        )

    def touch(self, key: Key, *, urgent: bool = False) -> None:
        assert key == KEY
        self.touched.append(urgent)


def test_a_verdict_becomes_a_status() -> None:
    scene = Scene()
    scene.report.say("g", VERDICT)
    assert scene.touched == [True]
    assert scene.report.render(KEY) == {
        "observedGeneration": 2,
        "outcome": "Accepted",
        "held": {"epoch": 1, "serial": 2},
        "conflict": None,
        "operation": None,
        "builtEpoch": None,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "Running",
                "message": "",
                "observedGeneration": 2,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ],
    }


def test_what_is_told_already_is_not_written() -> None:
    scene = Scene(status=TOLD)
    scene.report.say("g", VERDICT)
    assert scene.report.render(KEY) is None


def test_nothing_is_told_before_the_order_was_read_or_of_another_object_of_the_name() -> None:
    assert Scene().report.render(KEY) is None
    scene = Scene(uid="u2")
    scene.report.say("g", VERDICT)
    assert scene.report.render(KEY) is None


def test_nothing_is_told_of_an_assignment_that_is_gone() -> None:
    scene = Scene()
    scene.report.say("g", VERDICT)
    scene.report.forget("g")
    scene.report.touch("g", urgent=True)
    assert scene.touched == [True]
    assert scene.report.render(KEY) is None


@pytest.mark.parametrize(
    ("outcome", "held", "told", "then"),
    [
        (OrderOutcome.ACCEPTED, 2, 1, 2),
        (
            OrderOutcome.INVALID,
            None,
            1,
            1,
        ),  # an order for a store that was lost, which is no more asked what it knew
        (OrderOutcome.INVALID, 1, 2, 2),
        (OrderOutcome.DESTROYED, None, 1, None),
        (OrderOutcome.REFUSED, None, 1, None),
    ],
)
def test_that_a_guest_was_built_here_is_told_until_this_store_knows_better(
    outcome: OrderOutcome, held: int | None, told: int, then: int | None
) -> None:
    scene = Scene(status=msgspec.structs.replace(TOLD, built_epoch=told))
    scene.built_epoch = held
    scene.report.say("g", replace(VERDICT, outcome=outcome))
    status = scene.report.render(KEY)
    assert status is not None
    assert status["builtEpoch"] == then
