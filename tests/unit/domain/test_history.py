"""Which steps of a guest's history are told, and how many at once."""

from innkeeper.domain.host_store import KEPT_STEPS, Step
from innkeeper.domain.lifecycle.history import MOST, SHORTENED, to_tell


def steps(*reasons: str) -> list[Step]:
    return [
        Step(at=f"2026-01-01T00:00:{number:02d}Z", reason=reason, number=number)
        for number, reason in enumerate(reasons, start=1)
    ]


def reasons(history: list[Step], *, after: int = 0) -> list[str]:
    return [each.reason for each in to_tell(history, after=after)]


def test_a_build_that_goes_well_is_not_told() -> None:
    assert reasons(steps("Accepted", "Streaming", "PreparingDisk", "Starting", "Running")) == []


def test_trouble_is_told_and_that_the_guest_runs_again() -> None:
    assert reasons(steps("Running", "Crashed", "Starting", "Running")) == ["Crashed", "Running"]
    assert reasons(steps("Running", "StoppedAtHost", "Running")) == ["StoppedAtHost", "Running"]


def test_what_was_told_is_not_told_again_and_is_remembered() -> None:
    history = steps("Running", "Crashed", "Starting", "Running", "Rebooting", "Running", "RebootSucceeded")
    assert reasons(history, after=2) == ["Running", "RebootSucceeded"]
    assert reasons(history, after=4) == ["RebootSucceeded"]
    assert reasons(history, after=7) == []


def test_only_trouble_and_failures_are_warnings() -> None:
    told = to_tell(steps("Crashed", "Completed", "PauseFailed", "ResumeSucceeded"), after=0)
    assert [each.is_warning for each in told] == [True, False, True, False]


def test_many_changes_are_summed_up_and_the_newest_told() -> None:
    told = to_tell(steps(*["Crashed", "Running"] * 10), after=0)
    assert len(told) == MOST + 1
    assert told[0].reason == SHORTENED
    assert "10 changes from 2026-01-01T00:00:01Z to 2026-01-01T00:00:10Z" in told[0].message
    assert "Crashed 5 times, Running 5 times" in told[0].message
    assert [each.number for each in told] == [10, *range(11, 21)]


def test_what_the_host_may_have_kept_no_more_is_not_counted_as_if_it_were_all() -> None:
    """Its first kept step is not the next one after what was told: some may be gone."""
    kept = steps(*["Crashed", "Running"] * KEPT_STEPS)[-KEPT_STEPS:]
    assert to_tell(kept, after=10)[0].message.startswith("at least 40 changes from ")
    assert to_tell(kept, after=KEPT_STEPS)[0].message.startswith("40 changes from ")
