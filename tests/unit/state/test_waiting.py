"""Who waits for what: woken in the order of arrival, by any of its causes, until it says that it waits no longer."""

from innkeeper.state import waiting
from innkeeper.state.waiting import Waiting

A, B = ("default", "a"), ("default", "b")
FLAVOR = waiting.flavor("large")


def test_who_waits_longest_is_woken_first() -> None:
    queue = Waiting()
    queue.wait(B, [FLAVOR])
    queue.wait(A, [FLAVOR])
    assert queue.wake(FLAVOR) == [B, A]


def test_any_cause_wakes_and_others_do_not() -> None:
    queue = Waiting()
    queue.wait(A, [waiting.pool("lab"), waiting.flavor("small")])
    assert queue.wake(waiting.pool("lab")) == queue.wake(waiting.flavor("small")) == [A]
    assert queue.wake(waiting.pool("other")) == queue.wake(FLAVOR) == []


def test_what_a_guest_waited_for_before_no_longer_counts() -> None:
    queue = Waiting()
    queue.wait(A, [FLAVOR])
    queue.wait(A, [waiting.image("default", "debian")])
    assert queue.wake(FLAVOR) == []
    assert queue.wake(waiting.image("default", "debian")) == [A]


def test_who_goes_leaves_nothing_behind() -> None:
    queue = Waiting()
    queue.wait(A, [FLAVOR, waiting.pool("lab")])
    queue.wait(B, [FLAVOR])
    queue.forget(A)
    queue.forget(A)
    assert queue.wake(FLAVOR) == [B]
    queue.forget(B)
    assert (queue._guests, queue._causes) == ({}, {})


def test_waking_changes_nothing_so_a_guest_that_fails_again_still_waits() -> None:
    queue = Waiting()
    queue.wait(A, [FLAVOR])
    assert queue.wake(FLAVOR) == queue.wake(FLAVOR) == [A]


def test_causes_of_different_kinds_are_never_alike() -> None:
    causes = {waiting.pool("x"), waiting.flavor("x"), waiting.image("x", "x")}
    assert len(causes) == 3
