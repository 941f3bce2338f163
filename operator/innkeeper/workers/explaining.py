"""What would become of a guest if it were placed now: what is in its way, where it would go, and why not elsewhere.

It asks whoever decides, in the order of a guest's way, and promises nothing. Reads the subset alone: a Secret that is not
there, or a host that would refuse, shows when the guest is placed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from innkeeper.clock import Clock
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.quantity import Amounts
from innkeeper.domain.reasons import GuestReason
from innkeeper.domain.scheduling import cycle
from innkeeper.domain.scheduling.cycle import Placement
from innkeeper.domain.scheduling.explain import explain, verdicts
from innkeeper.domain.scheduling.explanation import Explanation, HostVerdict
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest
from innkeeper.workers.before_placing import stopped
from innkeeper.workers.image import ImageWorker
from innkeeper.workers.macs import mac_conflict
from innkeeper.workers.scheduler import Choice, Placed, SchedulerWorker

AT_ONCE = 64  # hosts whose verdicts are put into words before others get their turn


@dataclass(frozen=True, kw_only=True)
class Explained:
    """An answer. Where a guest's size is not known there is no explanation: no host can be asked."""

    blocked: Blocked | None
    explanation: Explanation | None = None
    verdicts: tuple[HostVerdict, ...] = ()

    @property
    def chosen(self) -> str | None:
        """The host that would be taken now; none while something is in the way."""
        decided = self.explanation.chosen if self.explanation else None
        return decided.host if decided is not None and self.blocked is None else None

    @property
    def message(self) -> str:
        """What is in the way, and how many hosts fit."""
        return "; ".join(each.message for each in (self.blocked, self.explanation) if each is not None)


class Explainer:
    """Answers about one guest at a time."""

    def __init__(self, subset: Subset, clock: Clock) -> None:
        self._subset = subset
        self._clock = clock
        self._scheduler = SchedulerWorker(subset, clock)
        self._images = ImageWorker(subset, images_url="")

    async def explain(self, guest: Guest, *, hosts: Sequence[str]) -> Explained:
        """Return what would be decided, and every rule's verdict on these hosts.

        Between some hosts and the next others get their turn, so a verdict is as new as the moment it was made.
        """
        amounts = self._scheduler.amounts(guest)
        if isinstance(amounts, Blocked):
            return Explained(blocked=self._stopped(guest) or amounts)
        fleet, guest_id = self._subset.fleet, guest_id_of(guest)
        seed = self._scheduler.seed_of(guest_id)
        with fleet.without(guest_id):
            choice = self._scheduler.choose(
                guest, amounts=amounts, decide=lambda asked: cycle.decide(asked, fleet, seed=seed)
            )
            asked = self._scheduler.asked_of_all_ways(guest, choice)
            explanation = explain(asked, fleet, seed=seed)
        explanation = replace(explanation, chosen=_placement(choice))
        blocked = self._blocked(guest, amounts, choice)
        found: list[HostVerdict] = []
        for begin in range(0, len(hosts), AT_ONCE):
            await asyncio.sleep(0)
            with fleet.without(guest_id):
                found += verdicts(asked, fleet, hosts[begin : begin + AT_ONCE])
        return Explained(blocked=blocked, explanation=explanation, verdicts=tuple(found))

    def _blocked(self, guest: Guest, amounts: Amounts, choice: Choice) -> Blocked | None:
        """Return what stops a guest first, other than that no host fits."""
        before = self._stopped(guest)
        if before is not None:
            return before
        image = self._images.resolve(guest, disk_bytes=amounts.disk_bytes)
        if isinstance(image, Blocked):
            return image
        if isinstance(choice.found, Blocked):
            return None if choice.found.reason is GuestReason.NO_HOST_FITS else choice.found
        return mac_conflict(self._subset, guest, cluster=choice.found.cluster)

    def _stopped(self, guest: Guest) -> Blocked | None:
        return stopped(self._subset, guest, now=self._clock.monotonic())


def _placement(choice: Choice) -> Placement | None:
    found = choice.found
    return Placement(found.host, found.cluster) if isinstance(found, Placed) else None
