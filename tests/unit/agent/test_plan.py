"""The next step of a guest, for every place where one may stand."""

import pytest

from innkeeper.agent.drivers.driver import DomainPhase as P
from innkeeper.agent.plan import PAUSED, RUNNING, Do, JobKind, Restart, Settle, Step, next_step
from innkeeper.agent.store.records import Life, Ready

RESTED = Ready(False, "Completed", "rests")


def step(desired: str, life: Life, phase: P | None, policy: str = "Always") -> Step:
    return next_step(desired=desired, restart_policy=policy, life=life, phase=phase, ready=RESTED)


@pytest.mark.parametrize("life", list(Life))
@pytest.mark.parametrize("phase", [None, *P])
def test_a_destroyed_guest_is_destroyed_wherever_it_stands(life: Life, phase: P | None) -> None:
    assert step("Destroyed", life, phase) == Do(JobKind.DESTROY)


@pytest.mark.parametrize("life", list(Life))
@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
def test_a_machine_that_lives_is_never_started_again(life: Life, policy: str) -> None:
    found = step("Running", life, P.RUNNING, policy)
    assert found == Settle(Life.UP, Ready(True, "Running"))


@pytest.mark.parametrize(
    ("life", "phase", "expected"),
    [
        (Life.UP, P.RUNNING, Do(JobKind.STOP)),
        (Life.OFF, P.PAUSED, Do(JobKind.STOP)),
        (Life.UP, P.COMPLETED, Settle(Life.OFF, Ready(True, "Stopped"))),
        (Life.RESTING, P.CRASHED, Settle(Life.OFF, Ready(True, "Stopped"))),
        (Life.NEW, None, Settle(Life.NEW, Ready(True, "Stopped"))),
    ],
)
def test_a_guest_that_shall_be_off(life: Life, phase: P | None, expected: Step) -> None:
    assert step("Stopped", life, phase) == expected


@pytest.mark.parametrize("life", list(Life))
@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
@pytest.mark.parametrize("phase", [None, *P])
def test_a_guest_that_lives_elsewhere_is_off_and_never_started(
    life: Life, policy: str, phase: P | None
) -> None:
    found = next_step(
        desired="Superseded",
        restart_policy=policy,
        life=life,
        phase=phase,
        ready=RESTED,
        off=Ready(False, "Superseded"),
    )
    if phase is not None and phase.alive:
        assert found == Do(JobKind.STOP)
    else:
        assert isinstance(found, Settle)
        assert found.ready == Ready(False, "Superseded")


@pytest.mark.parametrize(
    ("life", "phase", "job"),
    [
        (Life.NEW, None, JobKind.BUILD),
        (Life.NEW, P.OFF, JobKind.BUILD),
        (Life.UP, None, JobKind.BUILD),  # somebody removed the machine at the host
        (Life.OFF, P.COMPLETED, JobKind.START),
        (Life.OFF, P.STOPPED, JobKind.START),
        (Life.UP, P.OFF, JobKind.START),  # the host was rebooted
    ],
)
@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
def test_what_was_not_ended_by_the_guest_asks_no_policy(
    life: Life, phase: P | None, job: JobKind, policy: str
) -> None:
    assert step("Running", life, phase, policy) == Do(job)


@pytest.mark.parametrize(
    ("life", "phase", "expected"),
    [
        (Life.PAUSED, P.PAUSED, Settle(Life.PAUSED, PAUSED)),
        (Life.PAUSED, P.RUNNING, Settle(Life.UP, RUNNING)),  # a person at the host had it go on
        (Life.PAUSED, P.OFF, Do(JobKind.START)),  # the host was rebooted
        (Life.PAUSED, P.DISK_FAILED, Do(JobKind.RESUME)),
    ],
)
def test_a_guest_that_was_paused_by_an_operation(life: Life, phase: P, expected: Step) -> None:
    assert step("Running", life, phase) == expected


def test_a_guest_that_a_person_paused_at_the_host_goes_on() -> None:
    found = step("Running", Life.UP, P.PAUSED)
    assert isinstance(found, Restart)
    assert found.job is JobKind.RESUME


@pytest.mark.parametrize(
    ("phase", "policy", "rests_as"),
    [
        (P.COMPLETED, "Always", None),
        (P.COMPLETED, "OnFailure", "Completed"),
        (P.COMPLETED, "Never", "Completed"),
        (P.CRASHED, "Always", None),
        (P.CRASHED, "OnFailure", None),
        (P.CRASHED, "Never", "Crashed"),
        (P.STOPPED, "Always", None),
        (P.STOPPED, "Never", "Crashed"),
    ],
)
def test_the_restart_policy_decides_after_an_end_by_itself(
    phase: P, policy: str, rests_as: str | None
) -> None:
    found = step("Running", Life.UP, phase, policy)
    if rests_as is None:
        assert isinstance(found, Restart)
        assert not found.ready.status
    else:
        assert isinstance(found, Settle)
        assert (found.life, found.ready.reason) == (Life.RESTING, rests_as)
        assert found.ready.status is (rests_as == "Completed"), "who powers itself off is as it was asked for"


def test_a_guest_at_rest_stays_so_over_a_reboot() -> None:
    assert step("Running", Life.RESTING, P.OFF, "Never") == Settle(Life.RESTING, RESTED)
