"""Leases: who leads, and who is alive.

A leader stops counting itself as one before its Lease runs out for others, by its own monotonic clock. Times in a Lease
are only compared with earlier values of the same field, never with this machine's wall clock, so clocks may differ.
"""

import asyncio
import math
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

RELEASE_S = 3.0


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
        self._renewed_at: float | None = None

    def age_s(self) -> float:
        """Return for how many seconds the Lease was not renewed by us; 0 while we do not hold it."""
        return 0.0 if self._renewed_at is None else self._clock.monotonic() - self._renewed_at

    async def run(self, started: Callable[[], Awaitable[None]]) -> None:
        """Wait until we lead, run `started` beside the renewals, and give the Lease up when it ends.

        Raises:
            LeadershipLostError: the Lease was lost while `started` ran.
        """
        lease, valid_from = await self._acquire()
        self.leading, self._renewed_at = True, valid_from
        log.info("leading", lease=self._name, identity=self._identity)
        work = asyncio.ensure_future(started())
        renewal = asyncio.ensure_future(self._keep(lease, valid_from))
        try:
            await asyncio.wait({work, renewal}, return_when=asyncio.FIRST_COMPLETED)
            if renewal.done():
                renewal.result()
            work.result()
        finally:
            self.leading, self._renewed_at = False, None
            await _cancelled(work, renewal)
            if not isinstance(_failure(renewal), LeadershipLostError):
                await self._release()

    async def _acquire(self) -> tuple[Lease, float]:
        """Return the Lease once it is ours, and since when, by our clock, it surely counts."""
        while True:
            begun = self._clock.monotonic()
            try:
                lease = await self._try_acquire()
            except InnkeeperError as error:
                log.warning("election_failed", reason=error.reason, message=error.message)
                lease = None
            if lease is not None:
                return lease, begun
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

    async def _keep(self, lease: Lease, valid_from: float) -> None:
        """Renew until it cannot be done; a leader that cannot renew stops before others may start."""
        pause = self._renew_s
        while True:
            # Others count the whole duration; we stop at four fifths of it, measured from before the write.
            end = valid_from + self._duration_s * 0.8
            await self._clock.sleep(min(pause, max(0.0, end - self._clock.monotonic())))
            begun = self._clock.monotonic()
            if begun >= end:
                raise LeadershipLostError("the Lease could not be renewed in time")
            pause = self._renew_s / 4
            try:
                async with asyncio.timeout(end - begun):
                    written = await self._renewed(lease)
            except LeadershipLostError:
                raise
            except (InnkeeperError, TimeoutError) as error:
                log.warning("renewal_failed", lease=self._name, error=str(error) or "too slow")
                continue
            lease, valid_from, pause = written, begun, self._renew_s
            self._renewed_at = begun

    async def _renewed(self, lease: Lease) -> Lease:
        """Renew once; where somebody wrote to the Lease meanwhile, look whose it is."""
        for _ in range(3):
            try:
                written = await self._write(lease, self._spec())
                if written is not None:
                    return written
                lease = await self._client.get(LEASES, self._name, namespace=self._namespace)
            except NotFoundError as error:
                raise LeadershipLostError("the Lease was deleted") from error
            if lease.spec.holder_identity != self._identity:
                raise LeadershipLostError(f"the Lease is held by {lease.spec.holder_identity or 'nobody'}")
        raise ConflictError("others write to the Lease all the time", status=409)

    async def _release(self) -> None:
        """Let the next one start at once; if that fails, the Lease runs out by itself."""
        try:
            async with asyncio.timeout(RELEASE_S):
                lease = await self._client.get(LEASES, self._name, namespace=self._namespace)
                if lease.spec.holder_identity == self._identity:
                    await self._write(lease, {"holderIdentity": ""})
        except (InnkeeperError, TimeoutError) as error:
            log.warning("release_failed", lease=self._name, error=str(error) or "too slow")

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
            "leaseDurationSeconds": _whole(self._duration_s),
            "renewTime": rfc3339_micro(self._clock.now()),
        }


def _whole(seconds: float) -> int:
    """Return a duration as a Lease has it: whole seconds, at least one."""
    return max(1, math.ceil(seconds))


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
                # A call that hangs must not cost the beats after it.
                async with asyncio.timeout(self._period_s):
                    await self.beat()
            except (InnkeeperError, TimeoutError) as error:
                log.warning("heartbeat_failed", lease=self._name, error=str(error) or "too slow")
            await self._clock.sleep(self._period_s)

    async def beat(self) -> None:
        """Renew once; make the Lease where there is none.

        Raises:
            ApiError: the API server refused, or is away.
        """
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": _whole(self._duration_s),
            "renewTime": rfc3339_micro(self._clock.now()),
        }
        metadata = {"labels": self._labels} if self._labels else {}
        body = {"metadata": metadata, "spec": spec}
        try:
            await self._client.patch(LEASES, self._name, body, namespace=self._namespace)
        except NotFoundError:
            body = {"metadata": {"name": self._name, **metadata}, "spec": spec}
            await self._client.create(LEASES, body, namespace=self._namespace)


async def _cancelled(*tasks: asyncio.Future[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _failure(task: asyncio.Future[None]) -> BaseException | None:
    return None if task.cancelled() or not task.done() else task.exception()
