"""A refusal ends by itself, and the first end is what a guest waits for."""

from innkeeper.state.refusals import Refusals


def test_the_first_refusal_to_end_is_waited_for() -> None:
    refusals = Refusals()
    refusals.note("g", "a", until=300.0)
    refusals.note("g", "b", until=310.0)
    both = refusals.standing("g", now=299.0)
    assert refusals.time_left("g", both, now=299.0) == 1.0
    assert refusals.time_left("g", both, now=301.0) == 0.0, "one ended since it was looked at"
    later = refusals.standing("g", now=300.0)
    assert (later, refusals.time_left("g", later, now=300.0)) == ({"b"}, 10.0)


def test_who_was_refused_by_nobody_waits_for_no_end() -> None:
    refusals = Refusals()
    assert refusals.time_left("g", frozenset(), now=1.0) is None
