"""Step 2: which cluster, host and pools, by promises. Reads the subset; notes the promise before anybody writes it.

The cycle: a guest from the queue, the fleet as the snapshot, filter, score, choose, assume here; write, and confirm or
forget where the binding is written.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from innkeeper.clock import Clock
from innkeeper.domain.lifecycle.answered import is_refused
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.quantity import Amounts
from innkeeper.domain.reasons import ConditionType, GuestReason
from innkeeper.domain.scheduling.asking import request_of
from innkeeper.domain.scheduling.cycle import NoHostFits, Placement
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.shortlist import Shortlists
from innkeeper.kube.conditions import find
from innkeeper.state import waiting
from innkeeper.state.residents import resident_of
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest
from innkeeper.workers.image import ImageWorker, may_use
from innkeeper.workers.macs import mac_conflict, macs_in_use
from innkeeper.workers.pool_choice import Refusals
from innkeeper.workers.reach import NO_ADDRESS, Reach
from innkeeper.workers.room_line import RoomLine
from innkeeper.workers.shortage import Wanted
from innkeeper.workers.way_choice import Decide, choose_way, clusters_of

AVOIDED_FOR_S = 300.0


@dataclass(frozen=True)
class Placed:
    """The host that was chosen, its cluster, and the addresses that the guest is to have there."""

    host: str
    cluster: str
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True)
class Choice:
    """What was decided for a guest, and what was asked of hosts in the end."""

    asked: Request
    found: Placed | Blocked


class SchedulerWorker:
    """Places guests. The seed tells equal hosts apart, together with the Guest ID."""

    def __init__(self, subset: Subset, clock: Clock, *, seed: str = "") -> None:
        self._subset = subset
        self._clock = clock
        self._seed = seed
        self._shortlists = Shortlists(subset.fleet)
        self._reach = Reach(subset)
        self._line = RoomLine(subset)
        self._observe: Callable[[str, float], None] = lambda outcome, seconds: None  # noqa: ARG005 - a default that does nothing

    def observed_by(self, observe: Callable[[str, float], None]) -> None:
        """Tell somebody of each decision: `placed` or `no_host_fits`, and how many seconds it took."""
        self._observe = observe

    def amounts(self, guest: Guest) -> Amounts | Blocked:
        """Return what a guest needs: what it is bound with, else its own resources, else its flavor's."""
        if guest.status.resources is not None:
            return Amounts.of(guest.status.resources)
        if guest.spec.resources is not None:
            return Amounts.of(guest.spec.resources)
        name = guest.spec.flavor or ""
        flavor = self._subset.flavors.get(name)
        if flavor is not None:
            return Amounts.of(flavor.spec)
        known = ", ".join(sorted(self._subset.flavors)[:8]) or "none"
        return Blocked(
            step=ConditionType.SCHEDULED,
            reason=GuestReason.FLAVOR_NOT_FOUND,
            message=f"there is no Flavor {name!r}; there are: {known}",
            causes=(waiting.flavor(name),),
        )

    @staticmethod
    def _causes_of_size(guest: Guest) -> tuple[str, ...]:
        """A guest that gets its size from a flavor may fit once that is another one."""
        is_own = guest.status.resources is not None or guest.spec.resources is not None
        return () if is_own else (waiting.flavor(guest.spec.flavor or ""),)

    def place(self, guest: Guest, *, amounts: Amounts) -> Placed | Blocked:
        """Choose a host and the pools of the addresses, and assume the promise.

        The guest leaves the line where it waited for room: who stands behind it is looked at while it is bound. The
        caller settles the promise once the binding is written, or failed.
        """
        guest_id = guest_id_of(guest)
        began = self._clock.monotonic()
        seed = self.seed_of(guest_id)
        choice = self.choose(
            guest, amounts=amounts, decide=lambda request: self._shortlists.decide(request, seed=seed)
        )
        took_s = self._clock.monotonic() - began
        if isinstance(choice.found, Blocked):
            if choice.found.waits_for_room is not None:
                self._observe("no_host_fits", took_s)
            return choice.found
        self._observe("placed", took_s)
        self._subset.promises.assume(guest_id, resident_of(guest, choice.found.host, amounts))
        self._subset.leave_backlog((guest.metadata.namespace, guest.metadata.name))
        return choice.found

    def choose(self, guest: Guest, *, amounts: Amounts, decide: Decide) -> Choice:
        """Decide for a guest, without a promise."""
        refusals, asks = Refusals(), self._asks(guest, amounts)
        ways = self._reach.ways(guest, refusals)
        asked = choose_way(asks, ways, served=self._reach.served(guest), decide=decide)
        if asked is None:
            blocked = refusals.as_one()
            has_free = blocked.reason not in NO_ADDRESS
            if not has_free and self._line.keeps_without_address(guest):
                blocked = replace(blocked, keeps_line=self._line_of(guest, asks))
            return Choice(replace(asks, clusters=self._reach.named(guest), addresses_free=has_free), blocked)
        request, found = asked.request, asked.found
        if isinstance(found, NoHostFits):
            return Choice(request, refusals.add_to(self._nowhere(guest, request, found, decide)))
        where = found.placement
        return Choice(request, Placed(where.host, where.cluster, found.way.wanted))

    def asked_of_all_ways(self, guest: Guest, choice: Choice) -> Request:
        """Return what explains a choice: a host that was not asked for may fit as well, by another way."""
        if isinstance(choice.found, Blocked):
            return choice.asked
        return replace(choice.asked, clusters=clusters_of(self._reach.ways(guest, Refusals())))

    def _nowhere(self, guest: Guest, asked: Request, nothing: NoHostFits, decide: Decide) -> Blocked:
        """Return why no host fits: another guest's MAC where that alone is in the way, else room, or a rule."""
        message = f"{nothing.message}{self._refused_with(guest, asked.avoid)}"
        found = Blocked(step=ConditionType.SCHEDULED, reason=GuestReason.NO_HOST_FITS, message=message)
        if asked.mac_in_use:
            otherwise = decide(replace(asked, mac_in_use=frozenset()))
            if isinstance(otherwise, Placement):
                found = mac_conflict(self._subset, guest, cluster=otherwise.cluster) or found
        macs = macs_in_use(self._subset, guest)
        return replace(
            found,
            waits_for_room=self._line_of(guest, asked),
            causes=(
                *self._causes_of_size(guest),
                *(waiting.mac(cluster, mac) for cluster in sorted(macs) for mac in sorted(macs[cluster])),
            ),
            again_after_s=self._subset.refusals.time_left(
                guest_id_of(guest), asked.avoid, now=self._clock.monotonic()
            ),
        )

    def _refused_with(self, guest: Guest, hosts: frozenset[str]) -> str:
        """Say with which reasons the hosts that are left out refused a guest, as far as they are still told."""
        told = self._subset.assignments_of(guest_id_of(guest)) if hosts else {}
        said = (
            find(each.status.conditions, ConditionType.READY)
            for host, each in told.items()
            if host in hosts and is_refused(each)
        )
        reasons = sorted({each.reason for each in said if each is not None})
        return f"; refused with {', '.join(reasons)}" if reasons else ""

    def line_of(self, guest: Guest) -> Request | None:
        """Return the line of a guest that is to be placed, whatever it claimed by now; None where there is none.

        Where a hard spread is asked for, it depends on ways that are not looked for here.
        """
        amounts = self.amounts(guest)
        is_placed = guest.status.host is not None or guest.metadata.deletion_timestamp is not None
        if is_placed or isinstance(amounts, Blocked):
            return None
        asks = self._asks(guest, amounts)
        return None if asks.spread else self._line.of(guest, asks, claims=())

    def _line_of(self, guest: Guest, asked: Request) -> Request:
        return self._line.of(guest, asked, claims=self._subset.claims.of_guest(guest_id_of(guest)))

    def _asks(self, guest: Guest, amounts: Amounts) -> Request:
        """Return what a guest asks of hosts now, whatever its pools are."""
        return request_of(
            guest,
            amounts=amounts,
            image=self._image(guest),
            mac_in_use=frozenset(macs_in_use(self._subset, guest)),
            avoid=self._subset.refusals.standing(guest_id_of(guest), now=self._clock.monotonic()),
        )

    def _image(self, guest: Guest) -> str:
        """Return the digest that is looked for on hosts; who may not use an image learns nothing of where it is."""
        found = self._subset.images.get(ImageWorker.reference(guest))
        return found.served_digest if found is not None and may_use(guest, found) else ""

    def seed_of(self, guest_id: str) -> int:
        """Return what tells equal hosts apart for a guest: the same in every process."""
        text = f"{self._seed}\0{guest_id}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())

    def avoid(self, guest_id: str, host: str) -> None:
        """Leave a host out for this guest for a while: it refused."""
        self._subset.refusals.note(guest_id, host, until=self._clock.monotonic() + AVOIDED_FOR_S)

    def forget(self, guest_id: str) -> None:
        """The guest is gone."""
        self._subset.refusals.forget(guest_id)
