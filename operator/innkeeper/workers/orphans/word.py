"""A person's word about an orphan, written so that it outlasts this process: the leading operator then acts on it.

To adopt is to create the Guest anew, to remove is a note on the Assignment. Any replica may write either; whether the
person may ask for it is the caller's to look at. Both can be repeated.
"""

import structlog

from innkeeper.domain import names
from innkeeper.domain.lifecycle.revival import HeldOrder, NotRevivableError, held_assignment_document
from innkeeper.errors import InnkeeperError
from innkeeper.kube.client import Client
from innkeeper.kube.resources import ASSIGNMENTS
from innkeeper.state.subset import Subset
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest
from innkeeper.workers.creation import create_or_get
from innkeeper.workers.deletion import is_to_be_removed, removal_of
from innkeeper.workers.orphans.finding import Orphan, Orphans, OrphanState
from innkeeper.workers.revival import Revival

log = structlog.get_logger()


class OrderUnknownError(InnkeeperError):
    """The order of an orphan is not known yet: its host is being read."""

    reason = "OrderUnknown"


class OrphanWord:
    """Writes the word down."""

    def __init__(self, client: Client, subset: Subset, orphans: Orphans) -> None:
        self._client = client
        self._subset = subset
        self._orphans = orphans
        self._revival = Revival(client, assume=subset.assume)

    async def adopt(self, orphan: Orphan) -> Guest:
        """Create the Guest anew; the leader binds it to where it runs.

        Raises:
            NotRevivableError: the guest lives elsewhere, was destroyed there or is being removed, or another Guest has
                its name.
            OrderUnknownError: its host must be read first.
            ApiError: the API server refused, or is away.
        """
        state = self._orphans.state_of(orphan)
        if state is not OrphanState.HELD:
            raise NotRevivableError(
                f"{orphan.namespace}/{orphan.name} on host {orphan.host} is {state}: a guest that is being removed, or "
                "that lives or was destroyed elsewhere since, is not adopted"
            )
        guest = await self._revival.make_guest(self._order(orphan).order)
        log.info("orphan_adopted", guest=orphan.guest_id, host=orphan.host)
        return guest

    async def remove(self, orphan: Orphan) -> None:
        """Note that the guest is to be destroyed, for the order that stands and no later one.

        Raises:
            OrderUnknownError: its host must be read first.
            ApiError: the API server refused, or is away.
        """
        assignment = self._subset.assignment(orphan.guest_id, orphan.host) or await self._assignment(orphan)
        word = {names.REMOVE_ORPHAN_ANNOTATION: removal_of(assignment.spec)}
        if not is_to_be_removed(assignment):
            # Guarded by its uid alone: what the host says meanwhile changes nothing, and a later order voids the word.
            assignment = await self._client.patch(
                ASSIGNMENTS,
                assignment.metadata.name,
                {"metadata": {"annotations": word}},
                namespace=assignment.metadata.namespace,
                uid=assignment.metadata.uid,
            )
        self._subset.assume(assignment)
        log.info("orphan_removal_asked", guest=orphan.guest_id, host=orphan.host)

    async def _assignment(self, orphan: Orphan) -> Assignment:
        """Make an Assignment from the order that the host holds, with the word on it; or return the one that is there."""
        held = self._order(orphan)
        body = held_assignment_document(held)
        word = {names.REMOVE_ORPHAN_ANNOTATION: removal_of(held.order.rank)}
        body["metadata"] |= {"annotations": word}
        namespace = names.host_namespace(orphan.host)
        return await create_or_get(self._client, ASSIGNMENTS, body, namespace=namespace)

    def _order(self, orphan: Orphan) -> HeldOrder:
        held = self._orphans.order_of(orphan)
        if held is None:
            raise OrderUnknownError(
                f"the order of {orphan.namespace}/{orphan.name} is not known: host {orphan.host} is being read, ask again"
            )
        return held
