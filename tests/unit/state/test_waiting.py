"""Who waits for what: woken by rank, by any of its causes, until it says that it waits no longer."""

from innkeeper.kube.informer import Key
from innkeeper.state import waiting
from innkeeper.state.backlog import Rank
from innkeeper.state.waiting import Waiting

A, B = ("default", "a"), ("default", "b")
FLAVOR = waiting.flavor("large")


LAB = waiting.pool("lab")
EARLY, LATE = (0, "2026-01-01T00:00:00Z"), (0, "2026-01-02T00:00:00Z")


def wait(queue: Waiting, guest: Key, *causes: str, rank: Rank = EARLY) -> list[str]:
    return queue.wait(guest, causes, rank=rank)


def test_who_is_older_or_more_urgent_has_its_turn_first() -> None:
    queue = Waiting()
    wait(queue, A, LAB, rank=LATE)
    wait(queue, B, LAB, rank=EARLY)
    assert (queue.wake(LAB), queue.first(LAB)) == ([B, A], [B])
    assert [queue.before(LAB, A, LATE), queue.before(LAB, B, EARLY)] == [1, 0]
    assert queue.first(LAB, 2) == [B, A]
    wait(queue, A, LAB, rank=(-5, LATE[1]))
    assert (queue.wake(LAB), queue.first(LAB)) == ([A, B], [A])
    assert queue.before(LAB, B, EARLY) == 1
    assert queue.first(waiting.pool("other")) == []


def test_who_looks_again_and_still_waits_keeps_its_place_and_passes_nothing_on() -> None:
    queue = Waiting()
    assert wait(queue, A, LAB) == []
    assert wait(queue, A, LAB) == []
    assert wait(queue, A, FLAVOR) == [LAB], "it left the line: the next one may look"
    assert queue.forget(A) == [], "a flavor is there for all who wait for it"


def test_who_is_found_to_need_more_than_was_known_passes_on_what_it_does_not_take() -> None:
    queue = Waiting()
    wait(queue, A, LAB)
    wait(queue, B, LAB, rank=LATE)
    assert queue.first(LAB, 2) == [A, B]
    assert queue.wait(A, [LAB], rank=EARLY, needs={LAB: 3}) == [LAB]
    assert queue.wait(A, [LAB], rank=EARLY, needs={LAB: 3}) == []
    assert queue.first(LAB, 2) == [A, B], "one place is kept, and one is left"
    assert queue.first(LAB, 1) == [A]


def test_any_cause_wakes_and_others_do_not() -> None:
    queue = Waiting()
    wait(queue, A, waiting.pool("lab"), waiting.flavor("small"))
    assert queue.wake(waiting.pool("lab")) == queue.wake(waiting.flavor("small")) == [A]
    assert queue.wake(waiting.pool("other")) == queue.wake(FLAVOR) == []


def test_what_a_guest_waited_for_before_no_longer_counts() -> None:
    queue = Waiting()
    wait(queue, A, FLAVOR)
    wait(queue, A, waiting.image("default", "debian"))
    assert queue.wake(FLAVOR) == []
    assert queue.wake(waiting.image("default", "debian")) == [A]


def test_who_goes_leaves_nothing_behind() -> None:
    queue = Waiting()
    wait(queue, A, FLAVOR, waiting.pool("lab"))
    wait(queue, B, FLAVOR)
    queue.forget(A)
    queue.forget(A)
    assert queue.wake(FLAVOR) == [B]
    queue.forget(B)
    assert (queue._lines, queue._causes) == ({}, {})


def test_waking_changes_nothing_so_a_guest_that_fails_again_still_waits() -> None:
    queue = Waiting()
    wait(queue, A, FLAVOR)
    assert queue.wake(FLAVOR) == queue.wake(FLAVOR) == [A]


def test_causes_of_different_kinds_are_never_alike() -> None:
    causes = {waiting.pool("x"), waiting.flavor("x"), waiting.image("x", "x")}
    assert len(causes) == 3
