"""The heartbeat by which one host has one agent, whatever machines carry its join file or a copy of its state directory.

Each process draws an identity of its own, `STORE/RANDOM`, and keeps it in the store: the next process on the same store
follows it at once. A copy of the store that was carried elsewhere does so once in error, and never again. Within one boot
of a machine there is no such error: the lock of the state directory lets one process in.
"""

import structlog

from innkeeper.agent.host_report import UNKNOWN
from innkeeper.agent.store.opening import StoreDamagedError, StoreUnusableError
from innkeeper.agent.store.store import Store
from innkeeper.clock import Clock
from innkeeper.domain import names
from innkeeper.kube.client import Client
from innkeeper.kube.sole_heartbeat import Holder, SoleHeartbeat

_IDENTITY, _BOOT = "heartbeat_identity", "heartbeat_boot"

log = structlog.get_logger(__name__)


async def heartbeat_of(
    host: str, *, store: Store, drawn: str, boot_id: str, client: Client, namespace: str, clock: Clock
) -> SoleHeartbeat:
    """Return the heartbeat of this process; `drawn` is random."""
    identity = f"{store.store_id}/{drawn}"
    former = await store.meta(_IDENTITY)
    if former is not None and not former.startswith(f"{store.store_id}/"):
        former = None  # the store was put back from a copy, and has an ID of its own since

    async def keep() -> None:
        try:
            await store.keep_meta(**{_IDENTITY: identity, _BOOT: boot_id})
        except (StoreUnusableError, StoreDamagedError) as error:
            # The host must be heard all the same. The next process then watches for a while before it follows.
            log.warning("heartbeat_identity_not_kept", reason=error.reason, error=str(error))

    return SoleHeartbeat(
        client,
        namespace=namespace,
        name=names.HEARTBEAT_LEASE,
        holder=Holder(
            identity=identity,
            follows=former,
            is_gone=boot_id != UNKNOWN and await store.meta(_BOOT) == boot_id,
            keep=keep,
        ),
        labels={names.HOST_LABEL: host},
        clock=clock,
    )
