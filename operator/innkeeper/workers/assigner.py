"""Step 5: the order. It is derived from the binding, so it can always be made again, and it is signed last of all.

What an Assignment carries is compared with what it should carry; only a difference is written, with the next serial.
The user-data Secret is written before the Assignment, so that a host never sees an order whose data are missing.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog

from innkeeper.domain import names
from innkeeper.domain.lifecycle import operations, ordering
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.lifecycle.ordering import Ingredients
from innkeeper.domain.orders import (
    MAX_ORDER_BYTES,
    Order,
    OrderAddress,
    OrderImage,
    OrderOperation,
    Rank,
    Signer,
)
from innkeeper.domain.reasons import ConditionType, Desired, GuestReason
from innkeeper.kube.client import Client
from innkeeper.kube.errors import AlreadyExistsError, ApiError, ForbiddenError, NotFoundError
from innkeeper.kube.resources import ASSIGNMENTS
from innkeeper.state import waiting
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.assignment import Assignment
from innkeeper.views.guest import Guest
from innkeeper.workers.image import ImageWorker
from innkeeper.workers.network import NetworkWorker
from innkeeper.workers.order_reader import OrderReader
from innkeeper.workers.userdata import UserDataWorker

log = structlog.get_logger()

NAMESPACE_AGAIN_S = 2.0


class AssignerWorker:
    """Makes, changes and removes Assignments."""

    def __init__(
        self,
        client: Client,
        subset: Subset,
        *,
        signer: Signer,
        images: ImageWorker,
        network: NetworkWorker,
        user_data: UserDataWorker,
        orders: OrderReader,
    ) -> None:
        self._client = client
        self._subset = subset
        self._signer = signer
        self._orders = orders
        self._images = images
        self._network = network
        self._user_data = user_data

    async def ensure(self, guest: Guest) -> Blocked | None:
        """Have the host of a bound guest hold the order that the Guest asks for; return why that cannot be done.

        Raises:
            ApiError: the API server refused, or is away.
        """
        guest_id, host = guest_id_of(guest), _host(guest)
        if self._subset.assignment(guest_id, host) is None:
            mac_in_use = self._network.mac_of_elder(guest)
            if mac_in_use is not None:
                return mac_in_use
        ingredients = await self._ingredients(guest, guest_id, host)
        if isinstance(ingredients, Blocked):
            return ingredients
        return await self._order(guest, ingredients)

    async def destroy(self, guest: Guest, host: str) -> Blocked | None:
        """Have a host hold the order to destroy a guest.

        Raises:
            ApiError: the API server refused, or is away.
        """
        return await self._end(guest, host, Desired.DESTROYED)

    async def supersede(self, guest: Guest, host: str) -> Blocked | None:
        """Have a host hold the order that says that a guest lives elsewhere, if it does not yet.

        Raises:
            ApiError: the API server refused, or is away.
        """
        signed = self._read(self._subset.assignment(guest_id_of(guest), host))
        if signed is not None and signed.desired in {Desired.SUPERSEDED, Desired.DESTROYED}:
            return None
        return await self._end(guest, host, Desired.SUPERSEDED)

    async def _end(self, guest: Guest, host: str, ending: Desired) -> Blocked | None:
        guest_id = guest_id_of(guest)
        signed = self._read(self._subset.assignment(guest_id, host))
        store_id = self._store_id(host) or (signed.store_id if signed else None)
        if store_id is None:
            message = (
                f"it is not known which store host {host} has: create the Host again, or set its spec.lost"
            )
            return _waits(GuestReason.DELETION_WAITS_FOR_HOST, message)
        ingredients = Ingredients(
            guest_id=guest_id,
            store_id=store_id,
            host=host,
            addresses=self._addresses(guest, signed) or (),
            image=None,
            ending=ending,
        )
        return await self._order(guest, ingredients)

    async def destroy_unowned(self, assignment: Assignment, *, host: str) -> None:
        """Have a host destroy a guest that has no object, by what its standing order says.

        Raises:
            ApiError: the API server refused, or is away.
        """
        signed = self._read(assignment)
        if signed is None:
            log.warning("order_not_ours", guest=assignment.spec.guest_id, host=host)
            return
        order = ordering.to_destroy(signed, assignment, store_id=self._store_id(host) or signed.store_id)
        text = self._signer.sign(order)
        self._orders.remember(order, text)
        spec = ordering.assignment_spec(order, text, image_digest=assignment.spec.image_digest)
        await self._write(assignment, {"spec": spec})
        log.info("orphan_destroyed", guest=order.guest_id, host=host, rank=list(order.rank))

    async def void_removal(self, assignment: Assignment) -> None:
        """Take a person's word that an orphan be removed off its Assignment.

        Raises:
            ApiError: the API server refused, or is away.
        """
        await self._write(assignment, {"metadata": {"annotations": {names.REMOVE_ORPHAN_ANNOTATION: None}}})

    async def remove(self, assignment: Assignment) -> None:
        """Remove an Assignment that holds nothing any more, with its user data."""
        host = names.host_of_namespace(assignment.metadata.namespace) or ""
        await self._user_data.remove(assignment.spec.guest_id, host=host)
        try:
            await self._client.delete(
                ASSIGNMENTS,
                assignment.metadata.name,
                namespace=assignment.metadata.namespace,
                uid=assignment.metadata.uid,
                resource_version=assignment.metadata.resource_version,
            )
        except NotFoundError:
            log.debug("assignment_gone_already", guest=assignment.spec.guest_id)

    async def _ingredients(self, guest: Guest, guest_id: str, host: str) -> Ingredients | Blocked:
        store_id = self._store_id(host)
        if store_id is None:
            return _waits(GuestReason.WAITING_FOR_HOST, f"host {host} has not reported its store yet")
        signed = self._read(self._subset.assignment(guest_id, host))
        image = self._image(guest, signed)
        if image is None:
            message = "the Image that this guest was bound to is gone; the guest is left as it is"
            return Blocked(
                step=ConditionType.IMAGE_RESOLVED,
                reason=GuestReason.IMAGE_NOT_FOUND,
                message=message,
                causes=(waiting.image(*self._images.reference(guest)),),
            )
        addresses = self._addresses(guest, signed)
        if addresses is None or not self._network.owns(guest):
            message = "an address of this guest is not held by it, or is in no IPPool of its name: no order is signed"
            return _waits(GuestReason.POOL_NOT_FOUND, message)
        return await self._with_user_data(
            guest,
            Ingredients(
                guest_id=guest_id,
                store_id=store_id,
                host=host,
                addresses=addresses,
                image=image,
                operation=self._operation(guest, guest_id, store_id=store_id, signed=signed),
            ),
            signed=signed,
        )

    def _operation(
        self, guest: Guest, guest_id: str, *, store_id: str, signed: Order | None
    ) -> OrderOperation | None:
        return operations.to_carry(
            guest,
            guest_id,
            self._subset.operations.of((guest.metadata.namespace, guest.metadata.name)),
            assignment=self._subset.assignment(guest_id, _host(guest)),
            signed=signed,
            store_id=store_id,
            host_silent=self._subset.guests_host_is_silent(guest),
        )

    async def _with_user_data(
        self, guest: Guest, ingredients: Ingredients, *, signed: Order | None
    ) -> Ingredients | Blocked:
        """Carry the user data once; later orders keep the digest, since the guest's first boot is over."""
        if guest.spec.user_data is None or guest.spec.user_data.secret_name is None:
            return ingredients
        digest = signed.user_data_digest if signed and signed.host == guest.status.host else None
        if digest is None:
            found = await self._carried(guest, _host(guest))
            if isinstance(found, Blocked):
                return found
            digest = found
        return replace(ingredients, user_data_digest=digest)

    async def _carried(self, guest: Guest, host: str) -> str | Blocked:
        """Return the digest of the user data beside the Assignment, where they are put now if need be."""
        data = await self._user_data.read(guest)
        if isinstance(data, Blocked):
            # A host that has its copy already is asked for nothing new when an order is made again.
            return await self._user_data.copied(guest_id_of(guest), host=host) or data
        try:
            return await self._user_data.carry(guest, data or b"", host=host)
        except (NotFoundError, ForbiddenError) as error:
            return _no_namespace(host, error)

    async def _order(self, guest: Guest, ingredients: Ingredients) -> Blocked | None:
        host = ingredients.host
        assignment = self._subset.assignment(ingredients.guest_id, host)
        signed = self._read(assignment)
        destroys = ingredients.ending is Desired.DESTROYED
        if ordering.is_outdated(guest, ingredients.guest_id, signed, destroy=destroys):
            return _waits(GuestReason.WAITING_FOR_HOST, "a newer version of this Guest is on its way")
        wanted = ordering.compose(guest, ingredients, rank=Rank(guest.status.epoch, 1))
        rank = ordering.next_rank(guest, assignment, wanted=wanted, signed=signed)
        if rank is None and signed is not None and self._is_of_previous_key(assignment):
            rank = Rank(signed.epoch, signed.serial + 1)  # signed anew, so that the previous key can go
        if rank is None:
            return None
        order = ordering.compose(guest, ingredients, rank=rank)
        spec = self._spec(guest, order)
        if len(spec["order"]) > MAX_ORDER_BYTES:
            return _too_large(len(spec["order"]))
        if assignment is None:
            return await self._create(guest, order, spec)
        await self._write(assignment, {"spec": spec})
        log.info("order_changed", guest=order.guest_id, host=host, desired=order.desired, rank=list(rank))
        return None

    async def _write(self, assignment: Assignment, change: Mapping[str, Any]) -> None:
        written = await self._client.patch(
            ASSIGNMENTS,
            assignment.metadata.name,
            change,
            namespace=assignment.metadata.namespace,
            resource_version=assignment.metadata.resource_version,
            uid=assignment.metadata.uid,
        )
        self._subset.assume(written)

    async def _create(self, guest: Guest, order: Order, spec: Mapping[str, Any]) -> Blocked | None:
        namespace = names.host_namespace(order.host)
        body = ordering.assignment_document(order, spec)
        try:
            created = await self._client.create(ASSIGNMENTS, body, namespace=namespace)
            self._subset.assume(created, led=(guest.metadata.namespace, guest.metadata.name))
        except AlreadyExistsError:
            found = await self._client.get(ASSIGNMENTS, order.guest_id, namespace=namespace)
            self._subset.assume(found)  # it may say something else, so the guest is looked at again
        except (NotFoundError, ForbiddenError) as error:
            return _no_namespace(order.host, error)
        log.info("order_given", guest=order.guest_id, host=order.host, desired=order.desired)
        return None

    def _spec(self, guest: Guest, order: Order) -> dict[str, Any]:
        text = self._signer.sign(order)
        self._orders.remember(order, text)
        digest = guest.status.image.digest if guest.status.image else ""
        return ordering.assignment_spec(order, text, image_digest=digest)

    def _read(self, assignment: Assignment | None) -> Order | None:
        """Return the order that stands, if we signed it: what others put there counts for nothing."""
        if assignment is None:
            return None
        return self._orders.read(assignment.spec.order, guest_id=assignment.spec.guest_id)

    def _is_of_previous_key(self, assignment: Assignment | None) -> bool:
        return assignment is not None and self._orders.is_of_previous_key(assignment.spec.order)

    def _store_id(self, host: str) -> str | None:
        agent = self._subset.host_agents.get(host)
        if agent is not None and agent.status.store_id:
            return agent.status.store_id
        found = self._subset.hosts.get(host)
        return found.status.store_id if found else None

    def _image(self, guest: Guest, signed: Order | None) -> OrderImage | None:
        """Return the bound image: from the Image, else from the order that stands."""
        bound = guest.status.image
        if (
            signed is not None
            and signed.image is not None
            and bound is not None
            and signed.image.digest == bound.digest
        ):
            return signed.image
        return self._images.bound(guest)

    def _addresses(self, guest: Guest, signed: Order | None) -> tuple[OrderAddress, ...] | None:
        """Return the bound addresses as their pools say, or as they were signed; None where neither is known."""
        held = {each.pool: self._subset.pool_catalog.held(each.pool) for each in guest.status.addresses}
        pools = {name: pool for name, pool in held.items() if pool is not None}
        try:
            found = ordering.bound_addresses(guest, pools, signed)
        except KeyError:
            return None
        if signed is None:
            return found
        others = {
            each.pool
            for bound, each in zip(guest.status.addresses, found, strict=True)
            if each.pool in pools and ordering.is_of_another(bound, pools[each.pool], each)
        }
        if others:
            log.warning(
                "pool_made_anew", guest=guest_id_of(guest), pools=sorted(others), kept="as it was signed"
            )
        return found


def _too_large(size: int) -> Blocked:
    message = (
        f"the order would have {size} bytes, and at most {MAX_ORDER_BYTES} are sent: shorten the Guest's annotations, "
        "or put user data into a Secret"
    )
    return Blocked(step=ConditionType.READY, reason=GuestReason.ORDER_TOO_LARGE, message=message)


def _host(guest: Guest) -> str:
    if guest.status.host is None:
        raise ValueError("the guest is bound to no host")
    return guest.status.host


def _no_namespace(host: str, error: ApiError) -> Blocked:
    """The namespace is gone or going; the host worker makes it again."""
    return _waits(
        GuestReason.WAITING_FOR_HOST,
        f"the namespace {names.host_namespace(host)} is not there yet: {error.message}",
        again_after_s=NAMESPACE_AGAIN_S,
    )


def _waits(reason: GuestReason, message: str, *, again_after_s: float = 10.0) -> Blocked:
    return Blocked(step=ConditionType.READY, reason=reason, message=message, again_after_s=again_after_s)
