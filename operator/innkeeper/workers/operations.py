"""The flow of GuestOperations: writes how far each one is, and deletes it some time after its end.

It orders nothing: the order of a guest is the assigner's, which takes the operation along. An operation is looked at when
it, its guest, its guest's order or host changes, and at its next deadline.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import msgspec
import structlog

from innkeeper.clock import Clock, parse_rfc3339, rfc3339
from innkeeper.domain.lifecycle import operations
from innkeeper.domain.lifecycle.operations import Standing
from innkeeper.domain.reasons import OperationPhase, OperationStep
from innkeeper.errors import InnkeeperError
from innkeeper.kube.client import Client
from innkeeper.kube.conditions import documents
from innkeeper.kube.errors import ConflictError, NotFoundError, ThrottledError
from innkeeper.kube.informer import Key
from innkeeper.kube.queue import LatestQueue
from innkeeper.kube.resources import GUEST_OPERATIONS
from innkeeper.state.subset import Subset, guest_id_of
from innkeeper.views.guestoperation import GuestOperation, GuestOperationStatus

log = structlog.get_logger()

WORKERS = 4


class OperationFlow:
    """Follows every GuestOperation to its end. The subset must be complete before this is made.

    `observe` is told of each end: what was asked for, and its phase.
    """

    def __init__(self, client: Client, subset: Subset, *, clock: Clock, workers: int = WORKERS) -> None:
        self._client = client
        self._subset = subset
        self._clock = clock
        self._workers = workers
        self._queue: LatestQueue[Key] = LatestQueue(clock)
        self._first_seen: dict[Key, tuple[str, float]] = {}  # uid, and when by the monotonic clock
        self.observe: Callable[[str, str], None] = lambda kind, phase: None  # noqa: ARG005 - does nothing
        subset.on_operation = self._queue.add
        for key in subset.operations.by_key:
            self._queue.add(key)

    async def run(self) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            try:
                again_after_s = await self._advance(key)
            except NotFoundError:
                self._queue.done(key)
            except ConflictError:
                self._queue.failed(key)  # the newer version is on its way to us
            except ThrottledError as error:
                self._queue.failed(key, at_least_s=error.retry_after_s)
            except InnkeeperError as error:
                log.warning(
                    "operation_step_failed", operation=key, reason=error.reason, message=error.message
                )
                self._queue.failed(key)
            except Exception:
                log.exception("operation_step_broken", operation=key)
                self._queue.failed(key, at_least_s=1)
            else:
                self._queue.done(key)
                if again_after_s is not None:
                    self._queue.add(key, after_s=again_after_s)

    async def _advance(self, key: Key) -> float | None:
        """Write or delete what is due; return after how many seconds to look in any case."""
        operation = self._subset.operations.by_key.get(key)
        if operation is None or operations.is_over(operation):
            self._first_seen.pop(key, None)
        if operation is None:
            self._queue.forget(key)
            return None
        if operations.is_over(operation):
            return await self._expire(operation)
        standing = self._standing(key, operation)
        wanted = operations.outlook(operation, standing)
        if _says(wanted) != _says(operation.status):
            await self._write(key, operation, wanted)
        return operations.again_after_s(standing.age_s)

    async def _write(self, key: Key, operation: GuestOperation, wanted: GuestOperationStatus) -> None:
        metadata, ends = operation.metadata, OperationPhase(wanted.phase or "").is_final
        status = msgspec.to_builtins(wanted) | {
            "conditions": documents(operation.status.conditions, wanted.conditions, now=self._clock.now())
        }
        given_up = self._subset.operations.given_up
        if ends:
            given_up.add(key)
        try:
            written = await self._client.patch(
                GUEST_OPERATIONS,
                metadata.name,
                {"status": status},
                namespace=metadata.namespace,
                subresource="status",
                resource_version=metadata.resource_version,
                uid=metadata.uid,
            )
        finally:
            given_up.discard(key)
        self._subset.assume(written)
        if ends:
            self.observe(operation.spec.operation, wanted.phase or "")
        log.info(
            "operation_told",
            operation=metadata.name,
            namespace=metadata.namespace,
            guest=wanted.guest_id,
            kind=operation.spec.operation,
            phase=wanted.phase,
            reason=wanted.conditions[0].reason,
        )

    async def _expire(self, operation: GuestOperation) -> float | None:
        """Delete an operation whose time after its end is over."""
        metadata = operation.metadata
        # By our own clock: a host's may be wrong.
        seen = {each.name: each.at for each in operation.status.steps}
        ended = parse_rfc3339(seen.get(OperationStep.FINISHED, metadata.creation_timestamp))
        over_at = ended + timedelta(seconds=operation.spec.ttl_seconds_after_finished)
        left_s = (over_at - self._clock.now()).total_seconds()
        if metadata.deletion_timestamp is not None:
            return None
        if left_s > 0:
            return left_s
        await self._client.delete(
            GUEST_OPERATIONS,
            metadata.name,
            namespace=metadata.namespace,
            uid=metadata.uid,
            resource_version=metadata.resource_version,
        )
        return None

    def _standing(self, key: Key, operation: GuestOperation) -> Standing:
        subset, now = self._subset, self._clock.now()
        name = (key[0], operation.spec.guest_name)
        guest = subset.guests.get(name)
        age_s = self._age_s(key, operation)
        if guest is None:
            return Standing(at=rfc3339(now), age_s=age_s)
        guest_id, host = guest_id_of(guest), guest.status.host
        turn = next(
            (
                each
                for each in operations.in_turn(subset.operations.of(name))
                if operations.is_meant(each, guest_id)
            ),
            None,
        )
        return Standing(
            at=rfc3339(now),
            age_s=age_s,
            guest=guest,
            guest_id=guest_id,
            assignment=subset.assignment(guest_id, host) if host else None,
            host_lost=subset.guest_is_lost(guest),
            host_silent=subset.guests_host_is_silent(guest),
            turn_of=turn.metadata.name if turn else None,
        )

    def _age_s(self, key: Key, operation: GuestOperation) -> float:
        """Return for how long an operation that is not over has been waited for."""
        now, uid = self._clock.monotonic(), operation.metadata.uid
        known, since = self._first_seen.setdefault(key, (uid, now))
        if known != uid:  # another one of that name
            since = now
            self._first_seen[key] = (uid, now)
        created = parse_rfc3339(operation.metadata.creation_timestamp)
        created_s = (self._clock.now() - created).total_seconds()
        return operations.waited_s(known_s=now - since, created_s=created_s)


def _says(status: GuestOperationStatus) -> GuestOperationStatus:
    """Return a status without transition times, which move with what it says only."""
    plain = [msgspec.structs.replace(each, last_transition_time="") for each in status.conditions]
    return msgspec.structs.replace(status, conditions=plain)
