"""Step 2: which cluster and host, by promises. Reads the subset; notes the promise before anybody writes it."""

from collections import defaultdict

from innkeeper.clock import Clock
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.quantity import Amounts
from innkeeper.domain.reasons import ConditionType, GuestReason
from innkeeper.domain.scheduling.cycle import NoHostFits, Placement, schedule
from innkeeper.domain.scheduling.facts import Request
from innkeeper.state import waiting
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest

AVOIDED_FOR_S = 300.0


class SchedulerWorker:
    """Places guests; remembers for a while which host refused which guest."""

    def __init__(self, subset: Subset, clock: Clock) -> None:
        self._subset = subset
        self._clock = clock
        self._refusals: defaultdict[str, dict[str, float]] = defaultdict(dict)

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

    def place(
        self, guest: Guest, *, amounts: Amounts, clusters: frozenset[str] | None
    ) -> Placement | Blocked:
        """Choose a host and note its promise; the caller gives it back when the binding fails."""
        guest_id = guest_id_of(guest)
        placement = guest.spec.placement
        selector = placement.host_selector if placement else None
        request = Request(
            guest_id=guest_id,
            amounts=amounts,
            cluster=placement.cluster if placement else None,
            host_labels=selector.match_labels if selector else {},
            clusters=clusters,
            avoid=self._avoided(guest_id),
        )
        decision = schedule(request, self._subset.host_facts())
        if isinstance(decision, NoHostFits):
            return Blocked(
                step=ConditionType.SCHEDULED,
                reason=GuestReason.NO_HOST_FITS,
                message=decision.message,
                causes=(waiting.CAPACITY,),
                again_after_s=AVOIDED_FOR_S if request.avoid else None,
            )
        self._subset.promises.reserve(guest_id, host=decision.host, amounts=amounts)
        return decision

    def avoid(self, guest_id: str, host: str) -> None:
        """Leave a host out for this guest for a while: it refused."""
        self._refusals[guest_id][host] = self._clock.monotonic() + AVOIDED_FOR_S

    def forget(self, guest_id: str) -> None:
        """The guest is gone."""
        self._refusals.pop(guest_id, None)

    def _avoided(self, guest_id: str) -> frozenset[str]:
        now = self._clock.monotonic()
        found = self._refusals.get(guest_id, {})
        return frozenset(host for host, until in found.items() if until > now)
