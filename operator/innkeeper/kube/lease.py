"""Leases: who leads, and who is alive.

A leader stops counting itself as one before its Lease runs out for others, by its own monotonic clock. Times in a Lease
are only compared with earlier values of the same field, never with this machine's wall clock, so clocks may differ.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from innkeeper.clock import Clock, rfc3339_micro
from innkeeper.errors import InnkeeperError, TerminalError
from innkeeper.kube.client import Client
from innkeeper.kube.errors import AlreadyExistsError, ConflictError, NotFoundError
from innkeeper.kube.resources import LEASES
from innkeeper.kube.views import Lease

log = structlog.get_logger()


class LeadershipLostError(TerminalError):
    """Another one leads, or ours could not be renewed in time: this process must end."""

    reason = "LeadershipLost"


class LeaderElection:
    """One leader at a time, by a Lease; every write of the leader is conditional all the same."""

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        identity: str,
        clock: Clock,
        duration_s: float = 15,
        renew_s: float = 5,
    ) -> None:
        self.leading = False
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._duration_s = duration_s
        self._renew_s = renew_s
        self._seen: tuple[str | None, str | None] = (None, None)
        self._seen_at = clock.monotonic()

    async def run(self, started: Callable[[], Awaitable[None]]) -> None:
        """Wait until we lead, run `started` beside the renewals, and give the Lease up when it ends.

        Raises:
            LeadershipLostError: the Lease was lost while `started` ran.
        """
        lease = await self._acquire()
        self.leading = True
        log.info("leading", lease=self._name, identity=self._identity)
        work = asyncio.ensure_future(started())
        renewal = asyncio.ensure_future(self._keep(lease))
        try:
            await asyncio.wait({work, renewal}, return_when=asyncio.FIRST_COMPLETED)
            if renewal.done():
                renewal.result()
            work.result()
        finally:
            self.leading = False
            await _cancelled(work, renewal)
            if not isinstance(_failure(renewal), LeadershipLostError):
                await self._release()

    async def _acquire(self) -> Lease:
        while True:
            try:
                lease = await self._try_acquire()
            except InnkeeperError as error:
                log.warning("election_failed", reason=error.reason, message=error.message)
                lease = None
            if lease is not None:
                return lease
            await self._clock.sleep(self._renew_s / 2)

    async def _try_acquire(self) -> Lease | None:
        try:
            lease = await self._client.get(LEASES, self._name, namespace=self._namespace)
        except NotFoundError:
            return await self._create()
        if not self._is_free(lease):
            return None
        transitions = (lease.spec.lease_transitions or 0) + 1
        spec = {
            **self._spec(),
            "leaseTransitions": transitions,
            "acquireTime": rfc3339_micro(self._clock.now()),
        }
        return await self._write(lease, spec)

    def _is_free(self, lease: Lease) -> bool:
        """Tell whether nobody holds it: no holder, ourselves, or one that was not heard for its whole duration."""
        holder, renewed = lease.spec.holder_identity, lease.spec.renew_time
        if not holder or holder == self._identity:
            return True
        now = self._clock.monotonic()
        if (holder, renewed) != self._seen:
            self._seen, self._seen_at = (holder, renewed), now
            return False
        return now - self._seen_at > (lease.spec.lease_duration_seconds or self._duration_s)

    async def _create(self) -> Lease | None:
        spec = {**self._spec(), "leaseTransitions": 0, "acquireTime": rfc3339_micro(self._clock.now())}
        body = {"metadata": {"name": self._name}, "spec": spec}
        try:
            return await self._client.create(LEASES, body, namespace=self._namespace)
        except AlreadyExistsError:
            return None

    async def _keep(self, lease: Lease) -> None:
        """Renew until it cannot be done; a leader that cannot renew stops before others may start."""
        renewed_at = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._renew_s)
            left = self._duration_s * 0.8 - (self._clock.monotonic() - renewed_at)
            if left <= 0:
                raise LeadershipLostError("the Lease could not be renewed in time")
            try:
                async with asyncio.timeout(left):
                    written = await self._write(lease, self._spec())
            except (InnkeeperError, TimeoutError) as error:
                log.warning("renewal_failed", lease=self._name, error=str(error))
                continue
            if written is None:
                lease = await self._still_ours()
            else:
                lease, renewed_at = written, self._clock.monotonic()

    async def _still_ours(self) -> Lease:
        lease = await self._client.get(LEASES, self._name, namespace=self._namespace)
        if lease.spec.holder_identity != self._identity:
            raise LeadershipLostError(f"the Lease is held by {lease.spec.holder_identity}")
        return lease

    async def _release(self) -> None:
        """Let the next one start at once; if that fails, the Lease runs out by itself."""
        try:
            lease = await self._client.get(LEASES, self._name, namespace=self._namespace)
            if lease.spec.holder_identity == self._identity:
                await self._write(lease, {"holderIdentity": ""})
        except InnkeeperError as error:
            log.warning("release_failed", lease=self._name, reason=error.reason)

    async def _write(self, lease: Lease, spec: Mapping[str, Any]) -> Lease | None:
        """Write guarded by what was read; None when somebody else was faster."""
        try:
            return await self._client.patch(
                LEASES,
                self._name,
                {"spec": spec},
                namespace=self._namespace,
                resource_version=lease.metadata.resource_version,
            )
        except ConflictError:
            return None

    def _spec(self) -> dict[str, Any]:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._duration_s),
            "renewTime": rfc3339_micro(self._clock.now()),
        }


class Heartbeat:
    """A Lease that says: I am alive. One write in each period."""

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        identity: str,
        clock: Clock,
        period_s: float = 10,
        duration_s: float = 40,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._period_s = period_s
        self._duration_s = duration_s
        self._labels = dict(labels or {})

    async def run(self) -> None:
        """Renew for ever; a failure is logged and tried again in the next period."""
        while True:
            try:
                await self.beat()
            except InnkeeperError as error:
                log.warning("heartbeat_failed", reason=error.reason, message=error.message)
            await self._clock.sleep(self._period_s)

    async def beat(self) -> None:
        """Renew once; make the Lease where there is none.

        Raises:
            ApiError: the API server refused, or is away.
        """
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._duration_s),
            "renewTime": rfc3339_micro(self._clock.now()),
        }
        metadata = {"labels": self._labels} if self._labels else {}
        body = {"metadata": metadata, "spec": spec}
        try:
            await self._client.patch(LEASES, self._name, body, namespace=self._namespace)
        except NotFoundError:
            body = {"metadata": {"name": self._name, **metadata}, "spec": spec}
            await self._client.create(LEASES, body, namespace=self._namespace)


async def _cancelled(*tasks: "asyncio.Future[None]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _failure(task: "asyncio.Future[None]") -> BaseException | None:
    return None if task.cancelled() or not task.done() else task.exception()
