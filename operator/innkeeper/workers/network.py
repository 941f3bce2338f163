"""Step 3: which address. An IPAddress object that is created is the lock: who creates it first has it.

An address belongs to the Guest ID, so "exists and is mine" is success, also after a restart between any two writes. It
is released by clearing its owner; the object stays through its quarantine.
"""

from typing import Any

import structlog

from innkeeper.clock import Clock, rfc3339
from innkeeper.domain import names
from innkeeper.domain.addressing.pool import Pool, PoolInvalidError, understand
from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.reasons import ConditionType, GuestReason
from innkeeper.kube.client import Client
from innkeeper.kube.errors import AlreadyExistsError
from innkeeper.kube.resources import IP_ADDRESSES
from innkeeper.state import waiting
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guest import Guest, GuestAddress, Interface
from innkeeper.views.network import IPAddress
from innkeeper.workers.reach import Reach

log = structlog.get_logger()


class NetworkWorker:
    """Claims and releases addresses."""

    def __init__(self, client: Client, subset: Subset, clock: Clock) -> None:
        self._client = client
        self._subset = subset
        self._clock = clock
        self.reach = Reach(subset)

    def pools(self, guest: Guest) -> dict[str, Pool] | Blocked:
        """Return the pools that a guest's interfaces name, or which one is missing or cannot serve."""
        found: dict[str, Pool] = {}
        for each in guest.spec.interfaces:
            pool = self.reach.pool(each.pool)
            if pool is None:
                return self._no_pool(each, self._why_no_pool(each.pool))
            found[each.pool] = pool
        return self._unserved(guest) or self._exhausted(guest) or found

    def _why_no_pool(self, name: str) -> str:
        there = self._subset.pools.get(name)
        if there is None:
            return f"there is no IPPool {name!r}"
        try:
            understand(there.spec)
        except PoolInvalidError as error:
            return f"the IPPool {name!r} cannot be used: {error}"
        return f"the IPPool {name!r} cannot be used"

    def _exhausted(self, guest: Guest) -> Blocked | None:
        """A guest takes no room on a host before there is an address for it."""
        interface = self.reach.without_address(guest)
        return _exhausted(interface) if interface is not None else None

    def _unserved(self, guest: Guest) -> Blocked | None:
        """A guest that names a cluster needs a pool that serves it."""
        wanted = guest.spec.placement.cluster if guest.spec.placement else None
        for each in guest.spec.interfaces:
            served = self._subset.pools[each.pool].spec.clusters
            if wanted is not None and served and wanted not in served:
                return Blocked(
                    step=ConditionType.ADDRESSES_ASSIGNED,
                    reason=GuestReason.POOL_NOT_SERVING_CLUSTER,
                    message=f"the IPPool {each.pool!r} serves {', '.join(served)}, not the cluster {wanted!r}",
                    causes=(waiting.pool(each.pool),),
                )
        return None

    async def claim(self, guest: Guest, pools: dict[str, Pool]) -> list[GuestAddress] | Blocked:
        """Return an address for each interface: those that the guest holds already, else new ones."""
        guest_id = guest_id_of(guest)
        claimed: list[GuestAddress] = []
        for interface in guest.spec.interfaces:
            address = await self._claim_one(guest, interface, pools[interface.pool])
            if address is None:
                return _exhausted(interface)
            mac = names.mac_of(guest_id, interface.name)
            claimed.append(
                GuestAddress(interface=interface.name, pool=interface.pool, address=address, mac=mac)
            )
        return claimed

    async def _claim_one(self, guest: Guest, interface: Interface, pool: Pool) -> str | None:
        guest_id = guest_id_of(guest)
        for held in self._subset.addresses_of(guest_id):
            owner = held.spec.owner
            if owner is not None and owner.interface == interface.name and held.spec.pool == interface.pool:
                return held.spec.address
        if self.reach.is_exhausted(interface.pool):
            return None
        for address in pool.candidates(guest_id, interface.name):
            name = names.address_name(pool.space, address)
            if name not in self._subset.addresses and await self._create(guest, interface, pool, address):
                return address
        return None

    async def _create(self, guest: Guest, interface: Interface, pool: Pool, address: str) -> bool:
        """Claim one address; False when somebody else holds it."""
        guest_id = guest_id_of(guest)
        name = names.address_name(pool.space, address)
        owner = {
            "id": guest_id,
            "namespace": guest.metadata.namespace,
            "name": guest.metadata.name,
            "interface": interface.name,
        }
        body: dict[str, Any] = {
            "metadata": {
                "name": name,
                "labels": {names.GUEST_ID_LABEL: guest_id, names.POOL_LABEL: interface.pool},
                "finalizers": [names.ADDRESS_FINALIZER],
            },
            "spec": {"pool": interface.pool, "addressSpace": pool.space, "address": address, "owner": owner},
        }
        try:
            created = await self._client.create(IP_ADDRESSES, body)
        except AlreadyExistsError:
            there = await self._client.get(IP_ADDRESSES, name)
            self._subset.assume(there)
            return there.spec.owner is not None and there.spec.owner.id == guest_id
        self._subset.assume(created)
        return True

    async def release(self, held: IPAddress) -> None:
        """Take an address from its owner; it stays in quarantine.

        Raises:
            ApiError: the API server refused, or is away.
        """
        body = {
            "metadata": {
                "labels": {names.GUEST_ID_LABEL: None},
                "annotations": {names.HELD_BY_HOST_ANNOTATION: None},
            },
            "spec": {"owner": None, "releasedAt": rfc3339(self._clock.now())},
        }
        written = await self._client.patch(
            IP_ADDRESSES,
            held.metadata.name,
            body,
            resource_version=held.metadata.resource_version,
            uid=held.metadata.uid,
        )
        self._subset.assume(written)
        log.info("address_released", address=held.spec.address, pool=held.spec.pool)

    async def hold_for_host(self, guest_id: str, host: str) -> None:
        """Note on each address of a guest that a silent host may still use it, whatever becomes of the order there.

        Raises:
            ApiError: the API server refused, or is away.
        """
        mark = {"metadata": {"annotations": {names.HELD_BY_HOST_ANNOTATION: host}}}
        for held in self._subset.addresses_of(guest_id):
            if held.metadata.annotations.get(names.HELD_BY_HOST_ANNOTATION) == host:
                continue
            written = await self._client.patch(
                IP_ADDRESSES,
                held.metadata.name,
                mark,
                resource_version=held.metadata.resource_version,
                uid=held.metadata.uid,
            )
            self._subset.assume(written)

    async def release_all(self, guest_id: str) -> None:
        """Release everything that a guest holds."""
        for held in self._subset.addresses_of(guest_id):
            await self.release(held)

    def owns(self, guest: Guest) -> bool:
        """Tell whether each bound address is held by this guest: checked before an order is signed."""
        guest_id = guest_id_of(guest)
        mine = {held.spec.address for held in self._subset.addresses_of(guest_id)}
        return all(each.address in mine for each in guest.status.addresses)

    @staticmethod
    def _no_pool(interface: Interface, message: str) -> Blocked:
        return Blocked(
            step=ConditionType.ADDRESSES_ASSIGNED,
            reason=GuestReason.POOL_NOT_FOUND,
            message=message,
            causes=(waiting.pool(interface.pool),),
        )


def _exhausted(interface: Interface) -> Blocked:
    return Blocked(
        step=ConditionType.ADDRESSES_ASSIGNED,
        reason=GuestReason.POOL_EXHAUSTED,
        message=f"the IPPool {interface.pool!r} has no free address: add a range, or delete guests",
        causes=(waiting.pool(interface.pool),),
    )
