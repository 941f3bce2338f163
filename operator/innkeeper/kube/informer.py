"""What the API server holds of one kind, kept in memory: list, then watch, for ever.

A relist computes what vanished meanwhile, so a deletion is never missed. A watch that stays silent for too long is
taken for dead. Whoever is told of a change must not wait: it enqueues and returns. Data come from the API server only,
or from `assume`, which takes what a write of our own returned.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Generic, TypeVar

import structlog

from innkeeper.clock import Clock
from innkeeper.errors import InnkeeperError
from innkeeper.kube.client import Client, WatchEvent
from innkeeper.kube.errors import GoneError, ThrottledError
from innkeeper.kube.resources import Resource
from innkeeper.views.meta import Meta, View

V = TypeVar("V", bound=View)
Key = tuple[str, str]

log = structlog.get_logger()

FIRST_BACKOFF_S = 0.5
LAST_BACKOFF_S = 30.0
WATCH_S = (240, 360)


@dataclass(frozen=True)
class Change(Generic[V]):
    """One object changed: `old` is None when it is new, `new` is None when it is gone."""

    key: Key
    old: V | None
    new: V | None


def metadata_of(view: View) -> Meta:
    """Return the metadata that every view of a kind has."""
    metadata: Meta = view.metadata  # type: ignore[attr-defined] # View itself has none, every kind does
    return metadata


def key_of(view: View) -> Key:
    """Return (namespace or empty, name)."""
    metadata = metadata_of(view)
    return (metadata.namespace, metadata.name)


def is_newer(new: View, old: View | None) -> bool:
    """Tell whether `new` may replace `old`: another object of the name, or a higher resourceVersion.

    resourceVersions of one kind compare as integers (KEP-5504, stable since Kubernetes 1.35).
    """
    if old is None:
        return True
    mine, theirs = metadata_of(new), metadata_of(old)
    if mine.uid == theirs.uid:
        return int(mine.resource_version or 0) > int(theirs.resource_version or 0)
    return int(mine.resource_version or 0) >= int(theirs.resource_version or 0)


class Informer(Generic[V]):
    """The objects of one kind, in one namespace or in all."""

    def __init__(
        self,
        client: Client,
        resource: Resource[V],
        *,
        on_change: Callable[[Change[V]], None],
        clock: Clock,
        namespace: str | None = None,
        label_selector: str | None = None,
        silence_timeout_s: float = 90,
        random: Random | None = None,
    ) -> None:
        self.resource = resource
        self.objects: dict[Key, V] = {}
        self.synced = asyncio.Event()
        self.resource_version = ""
        self.watching = False
        self._client = client
        self._on_change = on_change
        self._clock = clock
        self._namespace = namespace
        self._selector = label_selector
        self._silence_s = silence_timeout_s
        self._random = random or Random()  # noqa: S311 - it only spreads reconnects over time
        self._heard_at = clock.monotonic()
        self._failures = 0

    def age_s(self) -> float:
        """Return the seconds since the last list, event or bookmark."""
        return self._clock.monotonic() - self._heard_at

    async def run(self) -> None:
        """List and watch for ever; trouble with the API server is logged and tried again."""
        while True:
            try:
                if not self.resource_version:
                    await self._relist()
                await self._watch()
                self._failures = 0
            except GoneError:
                log.info("watch_expired", kind=self.resource.kind)
                self.resource_version = ""
            except InnkeeperError as error:
                await self._back_off(error)
            finally:
                self.watching = False

    async def _back_off(self, error: InnkeeperError) -> None:
        delay = min(LAST_BACKOFF_S, FIRST_BACKOFF_S * 2**self._failures) * self._random.uniform(0.5, 1.0)
        if isinstance(error, ThrottledError):
            delay = max(delay, error.retry_after_s)
        self._failures = min(self._failures + 1, 10)
        log.warning("watch_failed", kind=self.resource.kind, reason=error.reason, message=error.message)
        await self._clock.sleep(delay)

    async def _relist(self) -> None:
        listing = await self._client.list(
            self.resource, namespace=self._namespace, label_selector=self._selector
        )
        seen = {key_of(each): each for each in listing.items}
        listed_at = int(listing.resource_version or 0)
        for key, old in list(self.objects.items()):
            # What a write of our own brought in after the list was made is not gone: the list is older.
            if key not in seen and int(metadata_of(old).resource_version or 0) <= listed_at:
                self._forget(key)
        for each in listing.items:
            self.assume(each)
        self.resource_version = listing.resource_version
        self._heard_at = self._clock.monotonic()
        self.synced.set()

    async def _watch(self) -> None:
        events = self._client.watch(
            self.resource,
            resource_version=self.resource_version,
            namespace=self._namespace,
            label_selector=self._selector,
            timeout_s=self._random.randint(*WATCH_S),
        )
        try:
            while True:
                async with asyncio.timeout(self._silence_s):
                    event = await anext(events, None)
                if event is None:
                    return
                self._take(event)
        except TimeoutError:
            log.info("watch_silent", kind=self.resource.kind, seconds=self._silence_s)
        finally:
            await events.aclose()  # type: ignore[attr-defined] # an async generator has it; AsyncIterator does not say so

    def _take(self, event: WatchEvent[V]) -> None:
        self.watching = True
        self._failures = 0
        self._heard_at = self._clock.monotonic()
        if event.object is None:
            self.resource_version = event.resource_version
            return
        if event.type == "DELETED":
            self._delete(event.object)
        else:
            self.assume(event.object)
        self.resource_version = event.resource_version

    def assume(self, view: V) -> None:
        """Take a newer version of an object, from a watch or from the answer to a write."""
        key = key_of(view)
        old = self.objects.get(key)
        if not is_newer(view, old):
            return
        self.objects[key] = view
        self._on_change(Change(key, old, view))

    def _delete(self, view: V) -> None:
        key = key_of(view)
        held = self.objects.get(key)
        # A deletion of a former object says nothing about a newer one of the same name.
        if held is not None and is_newer(view, held):
            self._forget(key)

    def _forget(self, key: Key) -> None:
        old = self.objects.pop(key)
        self._on_change(Change(key, old, None))
