"""Which operation an order carries, where no scenario comes by."""

import msgspec
import pytest

from innkeeper.domain.lifecycle import operations
from innkeeper.domain.lifecycle.operations import in_turn, to_carry
from innkeeper.domain.orders import OrderOperation
from innkeeper.views.assignment import Assignment, AssignmentSpec, AssignmentStatus, Held, OperationReport
from innkeeper.views.guest import Guest, GuestSpec, GuestStatus, ImageRef
from innkeeper.views.guestoperation import (
    GuestOperation,
    GuestOperationSpec,
    GuestOperationStatus,
    OperationStepTime,
)
from innkeeper.views.meta import Condition, Meta, NamespacedName
from tests.kit.agent_orders import SIGNER, STORE, order

AT = "2026-01-01T00:00:00Z"
GUEST = Guest(
    metadata=Meta(name="web", namespace="default", uid="g1", generation=1),
    spec=GuestSpec(image=ImageRef(name="debian")),
    status=GuestStatus(host="a", epoch=1),
)
DONE = OrderOperation(id="o0", kind="Reboot")


def operation(name: str, *, ordered: bool = False, at: str = AT, **status: str) -> GuestOperation:
    steps = [OperationStepTime(name="Ordered", at=AT)] if ordered else []
    return GuestOperation(
        metadata=Meta(name=name, namespace="default", uid=name, creation_timestamp=at),
        spec=GuestOperationSpec(guest_name="web", operation="Reboot"),
        status=GuestOperationStatus(guest_id="g1", steps=steps, **status),
    )


def assignment(report: OperationReport | None = None, *, held_serial: int = 1) -> Assignment:
    """An Assignment of a guest that runs."""
    return Assignment(
        metadata=Meta(name="g1", namespace="host-a"),
        spec=AssignmentSpec(
            order=SIGNER.sign(order()),
            guest=NamespacedName(namespace="default", name="web"),
            guest_id="g1",
            desired="Running",
            epoch=1,
            serial=1,
        ),
        status=AssignmentStatus(
            held=Held(epoch=1, serial=held_serial),
            operation=report,
            conditions=[Condition(type="Ready", status="True", reason="Running")],
        ),
    )


def carried(
    *operations: GuestOperation,
    standing: OrderOperation | None = None,
    store_id: str = STORE,
    report: OperationReport | None = None,
    guest: Guest = GUEST,
    held_serial: int = 1,
) -> str | None:
    """Return the ID of the operation that the next order carries."""
    found = to_carry(
        guest,
        "g1",
        operations,
        assignment=assignment(report, held_serial=held_serial),
        signed=order(operation=standing),
        store_id=store_id,
        host_silent=False,
    )
    return found.id if found else None


def test_one_that_is_over_stays_for_the_store_that_knows_it_and_for_no_other() -> None:
    over = operation("o0", phase="Succeeded")
    assert carried(over, standing=DONE) == "o0"
    assert carried(over, standing=DONE, store_id="another") is None
    assert carried(operation("o0", ordered=True), standing=DONE, store_id="another") == "o0"


@pytest.mark.parametrize(("phase", "next_id"), [("Running", "o0"), ("Failed", "o1")])
def test_one_whose_object_is_gone_stands_until_the_host_says_that_it_is_over(
    phase: str, next_id: str
) -> None:
    told = OperationReport(id="o0", phase=phase)
    assert carried(operation("o1"), standing=DONE, report=told) == next_id


def test_of_an_older_copy_one_whose_object_is_gone_stands_only_by_the_hosts_word() -> None:
    another, this = (OperationReport(id=uid, phase="Running") for uid in ("o9", "o0"))
    assert carried(standing=DONE, report=another) == "o0"
    assert carried(standing=DONE, report=another, held_serial=2) is None
    assert carried(standing=DONE, report=this, held_serial=2) == "o0"
    assert carried(operation("o0", ordered=True), standing=DONE, report=another, held_serial=2) == "o0"


def test_the_hosts_word_alone_makes_no_room_while_the_object_does_not_say_so() -> None:
    told = OperationReport(id="o0", phase="Succeeded")
    assert carried(operation("o0", ordered=True), operation("o1"), standing=DONE, report=told) == "o0"


def test_what_was_ordered_comes_first_then_the_oldest() -> None:
    late = operation("a-late", at="2026-01-01T00:00:02Z")
    early = operation("b-early", at="2026-01-01T00:00:01Z")
    ordered = operation("c-ordered", ordered=True, at="2026-01-01T00:00:03Z")
    over = operation("d-over", phase="Failed")
    assert [each.metadata.name for each in in_turn([late, over, early, ordered])] == [
        "c-ordered",
        "b-early",
        "a-late",
    ]


def test_one_that_waits_is_not_ordered_of_a_guest_that_shall_be_off_and_one_that_was_ordered_is() -> None:
    off = msgspec.structs.replace(GUEST, spec=msgspec.structs.replace(GUEST.spec, power="Stopped"))
    assert carried(operation("o1"), guest=off) is None
    assert carried(operation("o1", ordered=True), guest=off) == "o1"


def test_each_deadline_is_looked_at_in_its_turn() -> None:
    assert operations.again_after_s(0) == operations.UNKNOWN_GUEST_S
    assert operations.again_after_s(operations.UNKNOWN_GUEST_S) == (
        operations.NOT_RUNNING_S - operations.UNKNOWN_GUEST_S
    )
    assert operations.again_after_s(operations.NOT_RUNNING_S) is None
    assert operations.again_after_s(operations.NOT_RUNNING_S) is None


def test_an_operation_counts_from_its_creation_only_when_no_clock_is_that_wrong() -> None:
    hours_off = operations.waited_s(known_s=5, created_s=operations.OUTDATED_S - 1)
    assert hours_off == 5
    assert operations.waited_s(known_s=5, created_s=-3600) == 5
    assert operations.again_after_s(operations.waited_s(known_s=5, created_s=operations.OUTDATED_S)) is None
