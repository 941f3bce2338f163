"""Step 2: which cluster and host, by promises. Reads the subset; notes the promise before anybody writes it.

The cycle: a guest from the queue, the fleet as the snapshot, filter, score, choose, assume here; write, and confirm or
forget where the binding is written.
"""

import hashlib
from collections.abc import Callable

from innkeeper.clock import Clock
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.quantity import Amounts
from innkeeper.domain.reasons import ConditionType, GuestReason
from innkeeper.domain.scheduling.asking import request_of
from innkeeper.domain.scheduling.cycle import NoHostFits, Placement
from innkeeper.domain.scheduling.request import Request
from innkeeper.domain.scheduling.shortlist import Shortlists
from innkeeper.state import waiting
from innkeeper.state.residents import resident_of
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest
from innkeeper.workers.image import ImageWorker, may_use
from innkeeper.workers.reach import NO_ADDRESS, Reach
from innkeeper.workers.shortage import Wanted

AVOIDED_FOR_S = 300.0


class SchedulerWorker:
    """Places guests. The seed tells equal hosts apart, together with the Guest ID."""

    def __init__(self, subset: Subset, clock: Clock, *, seed: str = "") -> None:
        self._subset = subset
        self._clock = clock
        self._seed = seed
        self._shortlists = Shortlists(subset.fleet)
        self._reach = Reach(subset)
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

    def place(
        self, guest: Guest, *, amounts: Amounts, wanted: list[Wanted] | None = None
    ) -> Placement | Blocked:
        """Choose a host and assume its promise; the caller settles the promise once the binding is written, or failed.

        `wanted` are the addresses that the guest is to have, where the caller knows them already.
        """
        guest_id = guest_id_of(guest)
        began = self._clock.monotonic()
        request = self.request(guest, amounts=amounts, wanted=wanted)
        decision = self._shortlists.decide(request, seed=self.seed_of(guest_id))
        took_s = self._clock.monotonic() - began
        self._observe("no_host_fits" if isinstance(decision, NoHostFits) else "placed", took_s)
        if isinstance(decision, NoHostFits):
            return Blocked(
                step=ConditionType.SCHEDULED,
                reason=GuestReason.NO_HOST_FITS,
                message=decision.message,
                waits_for_room=request,
                causes=self._causes_of_size(guest),
                again_after_s=self._subset.refusals.time_left(
                    guest_id, request.avoid, now=self._clock.monotonic()
                ),
            )
        self._subset.promises.assume(guest_id, resident_of(guest, decision.host, amounts))
        return decision

    def request(
        self, guest: Guest, *, amounts: Amounts, wanted: list[Wanted] | Blocked | None = None
    ) -> Request:
        """Return what a guest asks of hosts now; `wanted` as `Reach` gives it, where the caller has it already."""
        if wanted is None:
            wanted = self._reach.wanted(guest)
        return request_of(
            guest,
            amounts=amounts,
            image=self._image(guest),
            clusters=self._reach.clusters(guest, wanted),
            addresses_free=not isinstance(wanted, Blocked) or wanted.reason not in NO_ADDRESS,
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
