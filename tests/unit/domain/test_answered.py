"""What a host's answer says of the order that stands: an outcome counts for the epoch that it is of."""

import pytest

from innkeeper.domain.lifecycle.answered import is_destroyed, is_refused, is_refused_now, may_hold
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest
from tests.kit import objects
from tests.kit.objects import view


def assignment(outcome: str | None, *, held: int | None, epoch: int = 2) -> Assignment:
    """An order of an epoch, with what the host said and the epoch that it held then."""
    status = {
        **({"outcome": outcome} if outcome else {}),
        **({"held": {"epoch": held, "serial": 9}} if held is not None else {}),
    }
    return view(objects.assignment(rank=(epoch, 1), status=status), Assignment)


@pytest.mark.parametrize(
    ("outcome", "held", "refused", "destroyed"),
    [
        (None, None, False, False),
        ("Accepted", 2, False, False),
        ("Superseded", 3, False, False),
        ("Invalid", 2, False, False),
        ("Refused", 2, True, False),
        ("Refused", 1, False, False),
        ("Refused", None, False, False),
        ("Destroyed", 2, False, True),
        ("Destroyed", 1, False, False),
        ("Destroyed", 3, False, True),
        ("Destroyed", None, False, False),
    ],
)
def test_an_outcome_counts_for_its_epoch(
    outcome: str | None, held: int | None, *, refused: bool, destroyed: bool
) -> None:
    found = assignment(outcome, held=held)
    assert (is_refused(found), is_destroyed(found)) == (refused, destroyed)
    assert may_hold(found) is not (refused or destroyed)


@pytest.mark.parametrize(("epoch", "now"), [(2, True), (3, False)])
def test_a_refusal_of_an_epoch_before_is_none_of_now(epoch: int, *, now: bool) -> None:
    guest = view(objects.guest(status={"epoch": epoch}), Guest)
    assert is_refused_now(guest, assignment("Refused", held=2)) is now
    assert not is_refused_now(guest, None)
