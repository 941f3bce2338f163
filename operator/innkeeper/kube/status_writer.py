"""Coalesced statuses: of each object the newest wanted status is written, the rest never.

A status is rendered at the moment of writing, from what is known then, and written only where it differs. The write is
guarded by the version that it was rendered from. An urgent change is written at once, any other within `delay_s`, or
half a minute more while its owner is busy with what matters more.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
import structlog

from innkeeper.clock import Clock
from innkeeper.errors import InnkeeperError
from innkeeper.kube.client import Client
from innkeeper.kube.errors import ConflictError, NotFoundError, ThrottledError
from innkeeper.kube.informer import Key, metadata_of
from innkeeper.kube.queue import LatestQueue
from innkeeper.kube.resources import Resource
from innkeeper.views.meta import View

V = TypeVar("V", bound=View)

log = structlog.get_logger()

LONGEST_POSTPONED_S = 30.0


class StatusWriter(Generic[V]):
    """Writes the statuses of one kind.

    `render` returns the wanted status as a merge patch for `status`, or None where nothing is to be written (nothing
    differs). `read` returns the newest known version. `written` is told of what the API server answered, so that an
    in-memory view is not behind our own writes.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource[V],
        *,
        clock: Clock,
        render: Callable[[Key], Mapping[str, Any] | None],
        read: Callable[[Key], V | None],
        written: Callable[[V], None] | None = None,
        delay_s: float = 2.0,
        workers: int = 8,
    ) -> None:
        self._client = client
        self._resource = resource
        self._render = render
        self._read = read
        self._written = written
        self._delay_s = delay_s
        self._busy: Callable[[], bool] = lambda: False
        self._workers = workers
        self._queue: LatestQueue[Key] = LatestQueue(clock)
        self._urgent: set[Key] = set()
        self._clock = clock
        self._postponed: dict[Key, float] = {}  # until when at most
        self.refused = 0  # writes that were made from an old version, for metrics

    def give_way(self, busy: Callable[[], bool]) -> None:
        """Let what is not urgent wait longer while its owner is busy with work that matters more."""
        self._busy = busy

    def touch(self, key: Key, *, urgent: bool = False) -> None:
        """Say that the status of an object may have to be written."""
        if urgent:
            self._urgent.add(key)
        self._queue.add(key, after_s=0 if urgent else self._delay_s)

    async def run(self) -> None:
        """Write for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            if self._is_postponed(key):
                self._queue.done(key)
                self._queue.add(key, after_s=self._delay_s)
                continue
            try:
                await self.write(key)
            except NotFoundError:
                self._queue.done(key)
            except ConflictError:
                # A newer version is on its way to us; what it holds is rendered then.
                self.refused += 1
                self._queue.failed(key)
            except ThrottledError as error:
                self._queue.failed(key, at_least_s=error.retry_after_s)
            except InnkeeperError as error:
                log.warning("status_write_failed", kind=self._resource.kind, object=key, reason=error.reason)
                self._queue.failed(key)
            except Exception:
                log.exception("status_render_failed", kind=self._resource.kind, object=key)
                self._queue.failed(key)
            else:
                self._queue.done(key)

    def _is_postponed(self, key: Key) -> bool:
        """What is not urgent waits longer while there is more important work for the API server."""
        now = self._clock.monotonic()
        until = self._postponed.setdefault(key, now + LONGEST_POSTPONED_S)
        if key in self._urgent or now >= until or not self._busy():
            self._urgent.discard(key)
            del self._postponed[key]
            return False
        return True

    async def write(self, key: Key) -> None:
        """Write the wanted status of one object now, if it differs.

        Raises:
            ApiError: the API server refused, or is away.
        """
        current = self._read(key)
        status = self._render(key) if current is not None else None
        if current is None or status is None or not _differs(current, status):
            return
        metadata = metadata_of(current)
        answer = await self._client.patch(
            self._resource,
            metadata.name,
            {"status": status},
            namespace=metadata.namespace or None,
            subresource="status",
            resource_version=metadata.resource_version,
            uid=metadata.uid,
        )
        if self._written is not None:
            self._written(answer)


def _differs(current: View, change: Mapping[str, Any]) -> bool:
    """Tell whether a merge patch changes the status; fields that the view does not know count as different."""
    status = getattr(current, "status", None)
    if not isinstance(status, msgspec.Struct):
        return True
    known = {field.encode_name for field in msgspec.structs.fields(status)}
    if not known.issuperset(change):
        return True
    merged = _merged(msgspec.to_builtins(status), change)
    try:
        # Compared as views, since what is left out and what has its default value are the same.
        return bool(msgspec.convert(merged, type(status)) != status)
    except msgspec.ValidationError:
        return True


def _merged(target: Any, change: Any) -> Any:
    """Return the target with a merge patch applied (RFC 7386)."""
    if not isinstance(change, Mapping):
        return change
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key), value)
    return merged
