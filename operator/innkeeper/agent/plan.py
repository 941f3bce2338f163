"""What to do next with a guest, from its order, what was last made of it, and its machine's phase. Pure.

It is asked again after everything that happens, so it never has to remember a way, only to see where a guest stands.
"""

from dataclasses import dataclass
from enum import Enum

from innkeeper.agent.drivers.driver import DomainPhase
from innkeeper.agent.store.records import Life, Ready
from innkeeper.domain.reasons import Desired, GuestReason, RestartPolicy


class JobKind(Enum):
    """Work that takes time; one at a time for each guest."""

    BUILD = "build"
    START = "start"
    RESUME = "resume"
    STOP = "stop"
    DESTROY = "destroy"
    FORGET = "forget"  # by a person's word, never by a step
    OPERATE = "operate"  # what is done once: the plan never asks for it


@dataclass(frozen=True)
class Do:
    """Do this now."""

    job: JobKind


@dataclass(frozen=True)
class Restart:
    """The machine ended by itself: start it again, after the pause that its history asks for."""

    job: JobKind
    ready: Ready


@dataclass(frozen=True)
class Settle:
    """Nothing is to be done: this is how the guest stands."""

    life: Life
    ready: Ready


Step = Do | Restart | Settle

RUNNING = Ready(status=True, reason=GuestReason.RUNNING)
NOT_YET = Ready(
    status=False, reason=GuestReason.NOT_ANSWERING, message="the guest runs and was not asked yet"
)
STOPPED = Ready(status=True, reason=GuestReason.STOPPED)
PAUSED = Ready(
    status=False,
    reason=GuestReason.PAUSED,
    message="paused by a GuestOperation, until another one resumes it",
)


_HOW = {DomainPhase.STOPPED: "was stopped at the host", DomainPhase.OFF: "ended while nobody saw how"}


def next_step(
    *,
    desired: str,
    restart_policy: str,
    life: Life,
    phase: DomainPhase | None,
    ready: Ready,
    running: Ready = RUNNING,
    off: Ready = STOPPED,
    lived_in_this_boot: bool = False,
) -> Step:
    """Return the next step.

    `phase` is None where the hypervisor does not know the guest; `running` is how it stands while its machine runs,
    `off` once it is off as it should be. `lived_in_this_boot` tells whether its machine lived since the host booted:
    only then it may have ended by itself where nobody knows how it ended.
    """
    alive = phase is not None and phase.alive
    if desired == Desired.DESTROYED:
        return Do(JobKind.DESTROY)
    if desired in {Desired.STOPPED, Desired.SUPERSEDED}:
        return Do(JobKind.STOP) if alive else Settle(Life.NEW if life is Life.NEW else Life.OFF, off)
    if phase is DomainPhase.RUNNING:
        return Settle(Life.UP, running)
    was_rebooted = phase is DomainPhase.OFF and not lived_in_this_boot
    return _towards_running(
        restart_policy=restart_policy,
        life=Life.OFF if was_rebooted and life in {Life.UP, Life.PAUSED} else life,
        phase=phase,
        ready=ready,
    )


def _towards_running(*, restart_policy: str, life: Life, phase: DomainPhase | None, ready: Ready) -> Step:
    if phase is DomainPhase.PAUSED:
        by_hand = _off(GuestReason.CRASHED, "its machine was paused at the host")
        return Settle(life, PAUSED) if life is Life.PAUSED else Restart(JobKind.RESUME, by_hand)
    if phase is DomainPhase.DISK_FAILED:
        return Do(JobKind.RESUME)  # the image's stream began anew, for example
    if life is Life.RESTING:
        return Settle(Life.RESTING, ready)
    if life is Life.NEW or phase is None:
        return Do(JobKind.BUILD)
    # Turned off by order, or by a reboot of the host: no restart policy is asked.
    if life is Life.OFF:
        return Do(JobKind.START)
    return _ended(phase, restart_policy)


def _ended(phase: DomainPhase, restart_policy: str) -> Step:
    """Apply the restart policy to a machine that ended by itself or by a person's hand at the host.

    One that ended while nobody saw how may have crashed, so `OnFailure` starts it.
    """
    if phase is DomainPhase.COMPLETED:
        if restart_policy != RestartPolicy.ALWAYS:
            message = f"the guest powered off; restartPolicy {restart_policy} lets it rest"
            # It is as it was asked for, so whoever waits for it need not wait any longer.
            ready = Ready(status=True, reason=GuestReason.COMPLETED, message=message)
            return Settle(Life.RESTING, ready)
        return Restart(
            JobKind.START, _off(GuestReason.STARTING, "the guest powered off and is started again")
        )
    how = _HOW.get(phase, "crashed")
    if restart_policy == RestartPolicy.NEVER:
        ready = _off(GuestReason.CRASHED, f"the guest {how}; restartPolicy Never lets it rest")
        return Settle(Life.RESTING, ready)
    return Restart(JobKind.START, _off(GuestReason.CRASHED, f"the guest {how} and is started again"))


def _off(reason: GuestReason, message: str) -> Ready:
    return Ready(status=False, reason=reason, message=message)
