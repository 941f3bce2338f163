"""Which steps of a guest's history on its host are worth telling people, and how many. Pure.

Trouble, ends, what people did there, and that a guest runs again after one of these. A build that goes well has none.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from innkeeper.domain.host_store import KEPT_STEPS, Step
from innkeeper.domain.reasons import GuestReason, OperationKind, OperationPhase

MOST = 10  # steps of one guest that are told one by one at once; the older ones are summed up
SHORTENED = "HistoryShortened"

TROUBLE = frozenset(
    {
        GuestReason.CRASHED,
        GuestReason.DISK_FAILED,
        GuestReason.DISK_MISSING,
        GuestReason.HOST_DISK_FULL,
        GuestReason.START_FAILED,
        GuestReason.DRIVER_FAILED,
        GuestReason.NETWORK_FAILED,
        GuestReason.NOT_ANSWERING,
        GuestReason.IMAGE_DOWNLOAD_FAILED,
        GuestReason.IMAGE_DIGEST_MISMATCH,
        GuestReason.IMAGE_UNREADABLE,
        GuestReason.IMAGE_CHUNK_MISMATCH,
    }
)
NOTABLE = TROUBLE | {GuestReason.COMPLETED, GuestReason.STOPPED, GuestReason.STOPPED_AT_HOST}
"""Reasons of Ready that a host tells of a guest, and that people are told of."""

_FAILED = frozenset(f"{kind}{OperationPhase.FAILED}" for kind in OperationKind)
_ENDS = _FAILED | {f"{kind}{OperationPhase.SUCCEEDED}" for kind in OperationKind}


@dataclass(frozen=True)
class Told:
    """One thing to tell. `number` is that of the step; of a summary, that of the last step in it."""

    number: int
    at: str
    reason: str
    message: str
    is_warning: bool = False


def to_tell(history: Sequence[Step], *, after: int) -> list[Told]:
    """Return what is worth telling of the steps behind a number, the oldest first, and never more than `MOST` + 1."""
    found: list[Told] = []
    ran_before = True
    for step in history:
        is_again = step.reason == GuestReason.RUNNING and not ran_before
        if step.reason in NOTABLE:
            ran_before = False
        elif step.reason == GuestReason.RUNNING:
            ran_before = True
        if step.number > after and (is_again or step.reason in NOTABLE or step.reason in _ENDS):
            is_warning = step.reason in TROUBLE or step.reason in _FAILED
            found.append(Told(step.number, step.at, step.reason, step.message, is_warning))
    if len(found) <= MOST:
        return found
    is_cut = len(history) >= KEPT_STEPS and history[0].number > after + 1
    return [_summed_up(found[:-MOST], is_cut=is_cut), *found[-MOST:]]


def _summed_up(steps: Sequence[Told], *, is_cut: bool) -> Told:
    """Return one thing to tell in place of many; `is_cut` says that the host may keep no more of what was before."""
    counts = Counter(each.reason for each in steps)
    what = ", ".join(f"{reason} {count} times" for reason, count in sorted(counts.items()))
    at_least = "at least " if is_cut else ""
    message = f"{at_least}{len(steps)} changes from {steps[0].at} to {steps[-1].at}: {what}"
    return Told(steps[-1].number, steps[-1].at, SHORTENED, message, is_warning=True)
