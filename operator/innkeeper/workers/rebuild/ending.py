"""What becomes of Guests whose guests were destroyed since, or are about to be, when their store was put back.

Addresses rest only where the host said that it is over: a guest whose end is under way may run on, so it keeps them, and
its host gets the order to destroy it back. A Guest stays for a person to delete; `finish` is the one exception.
"""

from collections import Counter
from collections.abc import Callable

import structlog

from innkeeper.clock import Clock
from innkeeper.domain import names
from innkeeper.domain.lifecycle.destroyed import end_mark
from innkeeper.domain.lifecycle.ordering import assignment_spec
from innkeeper.domain.lifecycle.revival import HeldOrder
from innkeeper.domain.orders import Rank
from innkeeper.domain.rebuild.choice import Choice
from innkeeper.domain.rebuild.findings import Finding, FindingKind, rank_text
from innkeeper.domain.rebuild.lack import Ended
from innkeeper.kube.client import Client
from innkeeper.kube.errors import ConflictError, NotFoundError
from innkeeper.kube.resources import ASSIGNMENTS, GUESTS
from innkeeper.state.subset import guest_id_of
from innkeeper.views.guest import Guest
from innkeeper.views.meta import View
from innkeeper.workers.claim_writes import change_claim, released
from innkeeper.workers.rebuild.patience import patiently
from innkeeper.workers.revival import Revival, claims_of
from innkeeper.workers.userdata import UserDataWorker

log = structlog.get_logger(__name__)


class Ending:
    """One run's part of it. `made` counts what was written by kind; what cannot be done is raised as an ApiError."""

    def __init__(
        self,
        client: Client,
        choice: Choice,
        *,
        clock: Clock,
        made: Counter[str],
        assume: Callable[[View], None],
    ) -> None:
        self._client = client
        self._ends = choice.ends
        self._under_way = {each.order.guest_id for each in choice.ending}
        self._clock = clock
        self._made = made
        self._assume = assume
        self._revival = Revival(client, assume=assume)
        self._user_data = UserDataWorker(client)

    async def note(self, ended: Ended) -> None:
        """Note on a Guest that its guest was ended; where that is over, let its addresses rest: others may have them.

        Raises:
            ApiError: the API server refused, or is away.
        """
        guest = ended.guest
        mark = {"metadata": {"annotations": end_mark(rank_text(ended.rank), forgotten=ended.forgotten)}}
        metadata = guest.metadata

        async def note() -> None:
            try:
                written = await self._client.patch(
                    GUESTS, metadata.name, mark, namespace=metadata.namespace, uid=metadata.uid
                )
            except (NotFoundError, ConflictError):
                return  # it is gone, or another one has its name
            self._assume(written)
            self._made[ended.kind] += 1

        await patiently(note, self._clock)
        if ended.is_over:
            await patiently(lambda: self._release(guest_id_of(guest)), self._clock)

    async def give_back(self, held: HeldOrder) -> None:
        """Have an Assignment carry the order to destroy that a host has not carried out, and keep the addresses for it.

        What the host says in the end is then the answer to that order, and releases them.

        Raises:
            ApiError: the API server refused, or is away.
        """
        order = held.order
        await patiently(lambda: self._revival.keep_for_host(order), self._clock)
        if await patiently(lambda: self._carry(held), self._clock):
            self._made[ASSIGNMENTS.kind] += 1

    async def _carry(self, held: HeldOrder) -> bool:
        """Return whether the Assignment had to be written."""
        order = held.order
        namespace = names.host_namespace(order.host)
        try:
            there = await self._client.get(ASSIGNMENTS, order.guest_id, namespace=namespace)
        except NotFoundError:
            await self._revival.assign(held)
            return True
        if Rank(there.spec.epoch, there.spec.serial) >= order.rank:
            return False
        written = await self._client.patch(
            ASSIGNMENTS,
            order.guest_id,
            {"spec": assignment_spec(order, held.text, image_digest=there.spec.image_digest)},
            namespace=namespace,
            resource_version=there.metadata.resource_version,
            uid=there.metadata.uid,
        )
        self._assume(written)
        return True

    def was_deleted(self, guest: Guest) -> bool:
        """Tell whether a Guest is known to have been deleted since the copy: a signed order to destroy it is there.

        Such an order is signed only after a deletion. A host's word alone does not count.
        """
        status = guest.status
        return self._ends.proof(guest_id_of(guest), status.host, epoch=status.epoch) is not None

    async def finish(self, guest: Guest) -> None:
        """Delete a Guest once more that was deleted since the copy, because another one has its name since.

        What its host has not carried out goes on by the order that it holds, as after a deletion by force.

        Raises:
            ApiError: the API server refused, or is away.
        """
        guest_id, metadata = guest_id_of(guest), guest.metadata
        if guest_id not in self._under_way:
            await self._release(guest_id)
        for host in sorted(self._ends.told.get(guest_id, {})):
            await self._remove_order(guest_id, host)
        try:
            await self._client.delete(GUESTS, metadata.name, namespace=metadata.namespace, uid=metadata.uid)
            left = await self._client.get(GUESTS, metadata.name, namespace=metadata.namespace)
            if left.metadata.uid == metadata.uid:
                await self._without_finalizer(left)
        except NotFoundError:
            log.debug("guest_gone_already", guest=guest_id)
        self._made["Deleted"] += 1
        log.info("deletion_finished", guest=guest_id, namespace=metadata.namespace, name=metadata.name)

    async def _without_finalizer(self, guest: Guest) -> None:
        metadata = guest.metadata
        finalizers = [each for each in metadata.finalizers if each != names.GUEST_FINALIZER]
        await self._client.patch(
            GUESTS,
            metadata.name,
            {"metadata": {"finalizers": finalizers}},
            namespace=metadata.namespace,
            resource_version=metadata.resource_version,
            uid=metadata.uid,
        )

    async def _remove_order(self, guest_id: str, host: str) -> None:
        """Remove an Assignment whose host has no more than a tombstone of the guest, with its user data."""
        namespace = names.host_namespace(host)
        try:
            there = await self._client.get(ASSIGNMENTS, guest_id, namespace=namespace)
            await self._user_data.remove(guest_id, host=host)
            await self._client.delete(
                ASSIGNMENTS,
                guest_id,
                namespace=namespace,
                uid=there.metadata.uid,
                resource_version=there.metadata.resource_version,
            )
        except NotFoundError:
            return

    async def _release(self, guest_id: str) -> None:
        for claim in await claims_of(self._client, guest_id):
            self._assume(await change_claim(self._client, claim, released(self._clock.now())))


def not_ended(ended: Ended, why: str) -> Finding:
    """Return what a person is told of a Guest that cannot be changed to say that its guest was destroyed."""
    guest = ended.guest
    name = f"{guest.metadata.namespace}/{guest.metadata.name}"
    rank = rank_text(ended.rank)
    how = f"taken off its host by {ended.forgotten}" if ended.forgotten else f"destroyed by the order {rank}"
    message = (
        f"{name} was {how}, and its Guest, which is there, cannot be changed to "
        f"say so: {why}. Delete that Guest, or it may be built anew"
    )
    return Finding(
        kind=FindingKind.NOT_ENDED,
        host=guest.status.host or "",
        subject=guest_id_of(guest),
        message=message,
    )
