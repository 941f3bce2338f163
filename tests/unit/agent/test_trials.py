"""Pauses between tries."""

from innkeeper.agent.trials import CRASHING_AFTER, LONGEST_S, Trials


def test_pauses_double_up_to_five_minutes() -> None:
    trials, now, pauses = Trials(), 0.0, []
    for _ in range(12):
        trials.started(now)
        due = trials.due(now + 1)
        assert trials.due(now + 2) == due, "asking again does not move it"
        pauses.append(due - now - 1)
        now = due
    assert pauses[:5] == [1, 2, 4, 8, 16]
    assert pauses[-1] == LONGEST_S


def test_ten_minutes_of_running_forgive_all() -> None:
    trials = Trials()
    for now in (0.0, 10.0, 20.0):
        trials.started(now)
        trials.due(now + 5)
    trials.started(100)
    assert trials.due(100 + 600) == 701


def test_what_will_not_mend_by_itself_waits_the_longest_at_once() -> None:
    trials = Trials()
    assert trials.failed(0, retryable=True) == 1
    assert trials.failed(1, retryable=False) == 1 + LONGEST_S
    assert trials.wait_s(2) == LONGEST_S - 1


def test_a_machine_that_ends_again_and_again_is_crashing_until_it_ran_for_ten_minutes() -> None:
    trials, now = Trials(), 0.0
    for _ in range(CRASHING_AFTER):
        assert not trials.crashing(now)
        trials.started(now)
        now = trials.due(now + 1)
    assert trials.crashing(now)
    trials.started(now)
    assert trials.crashing(now + 599), "also while it runs for a moment"
    assert not trials.crashing(now + 600)
    trials.due(now + 601)
    assert not trials.crashing(now + 602), "its next end is the first one again"


def test_a_machine_that_never_ran_is_not_crashing() -> None:
    trials = Trials()
    for now in range(2 * CRASHING_AFTER):
        trials.failed(now, retryable=True)
    assert not trials.crashing(100)
