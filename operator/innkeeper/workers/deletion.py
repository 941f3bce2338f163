"""The way out of a guest: order to destroy, addresses released, finalizer removed, the Assignment last.

Only the deletion of the Guest object leads here, never its absence, nor anything that happens to an Assignment. While
the Guest CRD itself goes away no order to destroy is given. Each step can be repeated.
"""

from enum import Enum, auto

import structlog

from innkeeper.domain import names
from innkeeper.domain.lifecycle.answered import is_destroyed, is_refused, may_hold
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.orders import OrderInvalidError, Rank, peek
from innkeeper.domain.reasons import ConditionType, Desired, GuestReason, OrderOutcome
from innkeeper.kube.client import Client
from innkeeper.kube.errors import NotFoundError
from innkeeper.kube.resources import CRDS, GUESTS
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.assignment import Assignment, AssignmentSpec
from innkeeper.views.guest import Guest
from innkeeper.workers.assigner import AssignerWorker
from innkeeper.workers.held import HeldByHosts
from innkeeper.workers.network import NetworkWorker

log = structlog.get_logger()

GUEST_CRD = "guests.innkeeper.dev"
CRD_AGAIN_S = 30.0


class _Fate(Enum):
    """How far the destruction of a guest is."""

    GONE = auto()  # nothing of it is left on any host
    PENDING = auto()  # ordered; the host has not confirmed it
    FORCED = auto()  # ordered; the person does not wait for the silent host


class DeletionWorker:
    """Leads deleted guests out."""

    def __init__(
        self,
        client: Client,
        subset: Subset,
        *,
        assigner: AssignerWorker,
        network: NetworkWorker,
        held: HeldByHosts,
    ) -> None:
        self._client = client
        self._subset = subset
        self._assigner = assigner
        self._network = network
        self._held = held

    async def advance(self, guest: Guest) -> Blocked | None:
        """Go as far as can be gone now; return what is waited for.

        Raises:
            ApiError: the API server refused, or is away.
        """
        if names.GUEST_FINALIZER not in guest.metadata.finalizers:
            return None
        guest_id = guest_id_of(guest)
        fate = await self._destroy(guest, guest_id)
        if isinstance(fate, Blocked):
            return fate
        if fate is _Fate.PENDING:
            return None
        if fate is _Fate.GONE:
            await self._network.release_all(guest_id)
        for host in self._holders(guest, guest_id) if fate is _Fate.FORCED else ():
            if self._subset.host_is_silent(host):
                await self._network.hold_for_host(guest_id, host)
        await self._without_finalizer(guest)  # its answer is no news: the watch tells that the guest is gone
        log.info("guest_deleted", guest=guest_id, forced=fate is _Fate.FORCED)
        if fate is _Fate.GONE:
            for assignment in list(self._subset.assignments_of(guest_id).values()):
                await self._assigner.remove(assignment)
        return None

    async def finish_unowned(self, host: str, guest_id: str) -> None:
        """Clear up behind a guest whose object is gone: after a forced deletion, or a restart between two writes.

        Acts only where the host said that the guest is gone from it, by an order or by a person's word there, is lost,
        or refused the guest and so holds nothing; and where a person said that this guest, which no object is left of,
        is to be removed.

        Raises:
            ApiError: the API server refused, or is away.
        """
        assignment = self._subset.assignment(guest_id, host)
        if assignment is None or guest_id in self._subset.guest_keys:
            return
        if is_destroyed(assignment) or self._subset.host_is_lost(host):
            if not self._held_elsewhere(guest_id, host):
                await self._network.release_all(guest_id)
            await self._assigner.remove(assignment)
        elif is_refused(assignment):
            # Another host may hold this guest and its addresses; where none does, the sweeper finds them.
            await self._assigner.remove(assignment)
        elif is_to_be_removed(assignment) or _destroys_in_vain(assignment, store_id=self._store_id(host)):
            await self._assigner.destroy_unowned(assignment, host=host)

    def _store_id(self, host: str) -> str | None:
        found = self._subset.hosts.get(host)
        return found.status.store_id if found is not None else None

    async def release_destroyed(self, guest_id: str) -> None:
        """Let the addresses of a guest rest whose Guest is still there, once its host destroyed it on an order.

        Raises:
            ApiError: the API server refused, or is away.
        """
        for host, assignment in self._subset.assignments_of(guest_id).items():
            ordered = assignment.spec.desired == Desired.DESTROYED
            if ordered and is_destroyed(assignment) and not self._held_elsewhere(guest_id, host):
                await self._network.release_all(guest_id)
                return

    def _held_elsewhere(self, guest_id: str, host: str) -> bool:
        """Tell whether another host may still run the guest, and so use its addresses.

        One whose Assignment is gone may have told of it; where it does so no more, the sweeper finds the addresses.
        """
        return self._held.is_held(guest_id, but=host) or any(
            other != host and may_hold(order) and not self._subset.host_is_lost(other)
            for other, order in self._subset.assignments_of(guest_id).items()
        )

    async def _destroy(self, guest: Guest, guest_id: str) -> _Fate | Blocked:
        """Order every host that holds the guest to destroy it; the slowest of them says how far it is."""
        fates = [await self._destroy_on(guest, guest_id, host) for host in self._holders(guest, guest_id)]
        blocked = next((fate for fate in fates if isinstance(fate, Blocked)), None)
        if blocked is not None or _Fate.PENDING in fates:
            return blocked or _Fate.PENDING
        return _Fate.FORCED if _Fate.FORCED in fates else _Fate.GONE

    def _holders(self, guest: Guest, guest_id: str) -> list[str]:
        """Return the hosts that may hold something of the guest, the one that it is bound to among them."""
        orders = self._subset.assignments_of(guest_id)
        hosts = {
            host for host, order in orders.items() if may_hold(order) and not self._subset.host_is_lost(host)
        }
        if guest.status.host is not None:
            hosts.add(guest.status.host)
            if self._subset.guest_is_lost(guest):
                hosts.discard(guest.status.host)
        return sorted(hosts)

    async def _destroy_on(self, guest: Guest, guest_id: str, host: str) -> _Fate | Blocked:
        assignment = self._subset.assignment(guest_id, host)
        is_ordered = assignment is not None and assignment.spec.desired == Desired.DESTROYED
        if assignment is not None and is_ordered and is_destroyed(assignment):
            return _Fate.GONE
        if not is_ordered and await self._crd_is_leaving():
            message = "the Guest CRD is being deleted, which is no order to destroy guests"
            return Blocked(
                step=ConditionType.READY,
                reason=GuestReason.DELETING,
                message=message,
                again_after_s=CRD_AGAIN_S,
            )
        blocked = await self._assigner.destroy(guest, host)
        forced = bool(guest.metadata.annotations.get(names.FORCE_DELETE_ANNOTATION))
        if blocked is not None:
            return blocked
        return _Fate.FORCED if forced and self._subset.host_is_silent(host) else _Fate.PENDING

    async def _crd_is_leaving(self) -> bool:
        """Ask the API server itself: what a watch tells may be late, and a destroyed guest does not come back."""
        if self._subset.guest_crd_terminating:
            return True
        try:
            crd = await self._client.get(CRDS, GUEST_CRD)
        except NotFoundError:
            return True
        return crd.metadata.deletion_timestamp is not None

    async def _without_finalizer(self, guest: Guest) -> None:
        finalizers = [each for each in guest.metadata.finalizers if each != names.GUEST_FINALIZER]
        await self._client.patch(
            GUESTS,
            guest.metadata.name,
            {"metadata": {"finalizers": finalizers}},
            namespace=guest.metadata.namespace,
            resource_version=guest.metadata.resource_version,
            uid=guest.metadata.uid,
        )


def is_to_be_removed(assignment: Assignment) -> bool:
    """Tell whether a person asked for the end of an orphan; the word is for the very order that stood then."""
    asked = assignment.metadata.annotations.get(names.REMOVE_ORPHAN_ANNOTATION)
    return asked == removal_of(assignment.spec) and assignment.spec.desired != Desired.DESTROYED


def removal_of(order: AssignmentSpec | Rank) -> str:
    """Return the word that asks for the end of a guest by the order that stands: a later order voids it."""
    return f"{order.epoch}.{order.serial}"


def _destroys_in_vain(assignment: Assignment, *, store_id: str | None) -> bool:
    """Tell whether the host never obeys the order to destroy the guest: it is signed anew then, above what is held.

    The host holds a later order, or the order is for a store that the host has no more.
    """
    spec, status = assignment.spec, assignment.status
    if spec.desired != Desired.DESTROYED:
        return False
    if store_id is not None and _store_of(spec) not in (None, store_id):
        return True
    if status.outcome != OrderOutcome.SUPERSEDED or status.held is None:
        return False
    return (status.held.epoch, status.held.serial) >= (spec.epoch, spec.serial)


def _store_of(spec: AssignmentSpec) -> str | None:
    try:
        return peek(spec.order).store_id
    except OrderInvalidError:
        return None  # none of ours: nobody signs over it
