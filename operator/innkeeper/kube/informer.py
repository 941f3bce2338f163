"""What the API server holds of one kind, kept in memory: list, then watch, for ever.

A relist computes what vanished meanwhile, so a deletion is never missed. A watch that stays silent for too long is
taken for dead; before that the API server is asked for the version, since its cache of a kind that nobody writes goes on
only then. Whoever is told of a change must not wait: it enqueues and returns. What it cannot take is logged and counted:
one object never ends the watch of all. Data come from the API server only, or from
`assume`, which takes what a write of our own returned.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from random import Random
from typing import Generic, TypeVar

import msgspec
import structlog

from innkeeper.clock import Clock
from innkeeper.errors import InnkeeperError
from innkeeper.kube.answers import WatchEvent
from innkeeper.kube.client import Client
from innkeeper.kube.errors import GoneError, ThrottledError, UnauthorizedError
from innkeeper.kube.event_stream import EventStream
from innkeeper.kube.relisting import Learnt, Scope, Way
from innkeeper.kube.resources import Resource
from innkeeper.views.meta import Meta, View

V = TypeVar("V", bound=View)
Key = tuple[str, str]

log = structlog.get_logger()

FIRST_BACKOFF_S = 0.5
LAST_BACKOFF_S = 30.0
SHORTEST_WATCH_S = 1.0
WATCH_S = (240, 360)
QUIET_S = 0.5
LOOK_S = 0.01  # long enough for the loop to find what came while it was busy


class Change(msgspec.Struct, Generic[V], frozen=True):
    """One object changed: `old` is None when it is new, `new` is None when it is gone."""

    key: Key
    old: V | None
    new: V | None


async def at_once() -> None:
    """Wait for nobody."""


def metadata_of(view: View) -> Meta:
    """Return the metadata that every view of a kind has."""
    metadata: Meta = view.metadata  # type: ignore[attr-defined] # View itself has none, every kind does
    return metadata


def key_of(view: View) -> Key:
    """Return (namespace or empty, name)."""
    metadata = metadata_of(view)
    return (metadata.namespace, metadata.name)


def version_of(view: View) -> int:
    """Return the resourceVersion; those of one kind compare as integers (KEP-5504, stable since Kubernetes 1.35)."""
    return int(metadata_of(view).resource_version or 0)


def is_newer(new: View, old: View | None) -> bool:
    """Tell whether `new` may replace `old`: another object of the name, or a higher resourceVersion."""
    if old is None:
        return True
    if metadata_of(new).uid == metadata_of(old).uid:
        return version_of(new) > version_of(old)
    return version_of(new) >= version_of(old)


def _is_another(new: View, old: View) -> bool:
    """Tell whether it is another object of the same name."""
    return metadata_of(new).uid != metadata_of(old).uid


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
        self.starts: Counter[Way] = Counter()
        self.untaken: set[Key] = set()  # whose last change could not be taken by whoever is told
        # What happened meanwhile was not told, change by change.
        self.on_relist: Callable[[], None] = lambda: None
        self.longest_pause_s: Callable[[], float] = lambda: LAST_BACKOFF_S  # between two failed calls
        self.before_older: Callable[[], Awaitable[None]] = at_once  # waited for before an older view is taken
        self._filled = asyncio.Event()  # unset while objects that a file knows are still to come
        self._filled.set()
        self._scope = Scope(client, resource, namespace, label_selector)
        self._on_change = on_change
        self._clock = clock
        self._silence_s = silence_timeout_s
        self._random = random or Random()  # noqa: S311 - it only spreads reconnects over time
        self._heard_at = clock.monotonic()
        self._failures = 0
        self._silences = 0
        self._highest = 0  # the highest version ever seen
        self._current_from = (
            0  # a watch that tells of this version has told of all that was there at the begin
        )
        self._expired = 0  # how often in a row a watch began with a version that was forgotten
        # An older copy of a store that has grown since tells of itself by no version: only comparing all finds it.
        self._lists_after_outage = namespace is not None  # those of one namespace are few
        self._doubted = (
            False  # the API server was away: it may have come back with an older copy of its store
        )

    def age_s(self) -> float:
        """Return the seconds since the last list, event or bookmark."""
        return self._clock.monotonic() - self._heard_at

    def resume(self, objects: Iterable[V], resource_version: str) -> None:
        """Begin with what was known at a version; the watch tells what changed since, or that nobody knows any more.

        It counts as synced once the watch has caught up.
        """
        self.begin_at(resource_version)
        self.fill(objects)
        self.filled()

    def begin_at(self, resource_version: str, *, current: int = 0) -> None:
        """Begin at a version whose objects come later (`fill`, `filled`): the watch begins at once and waits for them.

        `current` is the version of the kind by now, where it was asked for: a watch that tells of it, or of a later one,
        has caught up.
        """
        self.resource_version = resource_version
        self._highest = int(resource_version or 0)
        self._current_from = current
        self._filled.clear()
        self.starts[Way.SNAPSHOT] += 1

    def fill(self, objects: Iterable[V]) -> None:
        """Take some of the objects of the version that was begun at."""
        held = self.objects
        for each in objects:
            key = key_of(each)
            if key in held:
                self._accept(each)
            else:
                held[key] = each
                self._tell(Change(key, None, each))

    def filled(self) -> None:
        """All objects were there: take what the watch tells."""
        self._filled.set()

    def unfilled(self) -> None:
        """The objects cannot be had: look anew what there is."""
        self.resource_version = ""
        self._filled.set()

    def _tell(self, change: Change[V]) -> None:
        try:
            self._on_change(change)
        except Exception:
            self.untaken.add(change.key)
            log.exception("change_not_taken", kind=self.resource.kind, key=change.key)
        else:
            self.untaken.discard(change.key)

    async def run(self) -> None:
        """List and watch for ever; trouble with the API server is logged and tried again."""
        while True:
            began = self._clock.monotonic()
            try:
                if self._doubted and self._lists_after_outage:
                    await self._relist(by_version=False)
                elif self._doubted and self.resource_version:
                    await self._look_for_older_store()
                self._doubted = False
                if not self.resource_version:
                    await self._relist()
                await self._watch()
                self._doubted = self._clock.monotonic() - began < WATCH_S[0]
            except GoneError as error:
                log.info("watch_expired", kind=self.resource.kind, message=error.message)
                self.resource_version = ""
                self._expired += 1
                if self._expired > 1:
                    await self._back_off(error)
                    continue
            except InnkeeperError as error:
                self._doubted = True
                if isinstance(error, UnauthorizedError):
                    # Who does not know us any more may be another API server, whose versions mean nothing here.
                    self.resource_version = ""
                await self._back_off(error)
                continue
            finally:
                self.watching = False
            # Whoever ends every watch at once, as some proxies do, must not be asked at full speed.
            await self._clock.sleep(max(0.0, SHORTEST_WATCH_S - (self._clock.monotonic() - began)))

    async def _back_off(self, error: InnkeeperError) -> None:
        delay = min(self.longest_pause_s(), FIRST_BACKOFF_S * 2**self._failures) * self._random.uniform(
            0.5, 1.0
        )
        if isinstance(error, ThrottledError):
            delay = max(delay, error.retry_after_s)
        self._failures = min(self._failures + 1, 10)
        log.warning("watch_failed", kind=self.resource.kind, reason=error.reason, message=error.message)
        await self._clock.sleep(delay)

    async def _look_for_older_store(self) -> None:
        """List anew where the store is older than what was seen of it: a watch would wait until it grew as far again."""
        await self._filled.wait()
        # As it is now: what is written meanwhile, by ourselves too, may be newer than the answer.
        highest = self._highest
        if await self._scope.version() < highest:
            # However far it grew when it is listed: what was seen above its version is not in it.
            await self._take_older(await self._scope.whole())

    async def _relist(self, *, by_version: bool = True) -> None:
        await self._filled.wait()
        highest = self._highest
        if by_version:
            known = {key: metadata_of(each) for key, each in self.objects.items()}
            learnt = await self._scope.changed_since(known, highest=highest)
        else:
            # A store that was put back and has grown again may give one version to another content.
            learnt = await self._scope.whole()
        listed_at = int(learnt.resource_version or 0)
        if listed_at < highest:
            await self._take_older(learnt)
            return
        if by_version:
            self._catch_up(learnt, listed_at)
        else:
            self._replace(learnt)
        self._listed(learnt)

    async def _take_older(self, learnt: Learnt[V]) -> None:
        listed_at = int(learnt.resource_version or 0)
        log.warning("store_went_back", kind=self.resource.kind, seen=self._highest, listed=listed_at)
        await self.before_older()
        self._highest = listed_at
        self._replace(learnt)
        self._listed(learnt)

    def _listed(self, learnt: Learnt[V]) -> None:
        self.resource_version = learnt.resource_version
        self.starts[learnt.way] += 1
        self._heard()
        self.synced.set()
        self.on_relist()

    def _catch_up(self, learnt: Learnt[V], listed_at: int) -> None:
        """Take what changed: newer versions, and what is no longer there."""
        for key, old in list(self.objects.items()):
            # What a write of our own brought in after the list was made is not gone: the list is older.
            if key not in learnt.there and version_of(old) <= listed_at:
                self._forget(key)
        for each in learnt.changed:
            held = self.objects.get(key_of(each))
            if held is not None and version_of(held) <= listed_at and _is_another(each, held):
                # In a store that began anew, its version may well be the lower one.
                self.objects[key_of(each)] = each
                self._tell(Change(key_of(each), held, each))
            else:
                self._accept(each)

    def _replace(self, learnt: Learnt[V]) -> None:
        """Take what was learnt as it is: the store may be an older copy, so versions say nothing about what is newer."""
        found = {key_of(each): each for each in learnt.changed}
        for key in set(self.objects) - learnt.there:
            self._forget(key)
        for key, new in found.items():
            old = self.objects.get(key)
            if new != old:
                self.objects[key] = new
                self._tell(Change(key, old, new))

    async def _watch(self) -> None:
        scope = self._scope
        watch = scope.client.watch(
            self.resource,
            resource_version=self.resource_version,
            namespace=scope.namespace,
            label_selector=scope.label_selector,
            timeout_s=self._random.randint(*WATCH_S),
        )
        async with watch as stream:
            events = await self._next(stream, is_first=True)
            await self._until_filled()
            while events:
                for event in events:
                    self._take(event)
                events = await self._next(stream)
        if events is None:
            log.warning("watch_silent", kind=self.resource.kind, seconds=self._silence_s)
            # A second silence in a row: the server may hold a version that it does not know (it went back).
            if self._silences:
                self.resource_version = ""
            self._silences += 1

    async def _next(self, stream: EventStream[V], *, is_first: bool = False) -> list[WatchEvent[V]] | None:
        """Return the next events; none where the watch ended, None where nothing came for too long."""
        if not self.synced.is_set():
            # A server sends what it knows without a pause, and it knew of everything when the version was asked for.
            events = await self._until_quiet(stream)
            if events is not None:
                return events
            self.synced.set()
        if is_first:
            return await self._first(stream)
        return await stream.batch(within_s=self._silence_s)

    async def _until_quiet(self, stream: EventStream[V]) -> list[WatchEvent[V]] | None:
        """Return the next events, or None once nothing came for long enough.

        Objects are taken from a file meanwhile, and while that keeps the loop busy nothing is read: so at the end one
        more look tells whether anything came.
        """
        events = await stream.batch(within_s=QUIET_S)
        if events is None:
            await self._until_filled()
            events = await stream.batch(within_s=LOOK_S)
        return events

    async def _until_filled(self) -> None:
        """Wait for the objects that a file knows.

        Raises:
            GoneError: they cannot be had.
        """
        await self._filled.wait()
        if not self.resource_version:
            raise GoneError("what was known at the version of the watch cannot be read; listing anew")

    async def _first(self, stream: EventStream[V]) -> list[WatchEvent[V]] | None:
        """Return the first events; where a watch hears nothing at all, the version is asked for before it is given up.

        An API server sends bookmarks only of versions beyond the one that a watch began with. Its cache of a kind that
        nobody writes goes on only when etcd tells it (after 10 minutes, if nobody has set another time) or somebody asks.
        """
        patience = self._silence_s / 2
        events = await stream.batch(within_s=patience)
        if events is not None:
            return events
        question = asyncio.ensure_future(self._scope.version())
        try:
            return await stream.batch(within_s=patience)
        finally:  # the answer is worth nothing, and without one the silence tells enough
            question.cancel()
            await asyncio.gather(question, return_exceptions=True)

    def _take(self, event: WatchEvent[V]) -> None:
        version = int(event.resource_version or 0)
        if version < int(self.resource_version or 0):
            raise GoneError(
                f"the API server went back to {version} from {self.resource_version}; listing anew"
            )
        self.watching = True
        self._heard()
        if event.object is not None and event.type == "DELETED":
            self._delete(event.object)
        elif event.object is not None:
            self._accept(event.object)
        self._expired = 0
        self.resource_version = event.resource_version
        if event.type == "BOOKMARK" or version >= self._current_from > 0:
            self.synced.set()  # everything before it was told
        self._highest = max(self._highest, version)

    def _heard(self) -> None:
        self._heard_at = self._clock.monotonic()
        self._failures = 0
        self._silences = 0
        self._highest = max(self._highest, int(self.resource_version or 0))

    def assume(self, view: V) -> None:
        """Take the answer to a write of our own, so that what is known is not behind it.

        The watch has the last word: where it is past this version, it has told of it already, or of the deletion.
        """
        version = version_of(view)
        if version > int(self.resource_version or 0) and self._accept(view):
            self._highest = max(self._highest, version)

    def _accept(self, view: V) -> bool:
        key = key_of(view)
        old = self.objects.get(key)
        if not is_newer(view, old):
            return False
        self.objects[key] = view
        self._tell(Change(key, old, view))
        return True

    def _delete(self, view: V) -> None:
        key = key_of(view)
        held = self.objects.get(key)
        # A deletion of a former object says nothing about a newer one of the same name.
        if held is not None and is_newer(view, held):
            self._forget(key)

    def _forget(self, key: Key) -> None:
        old = self.objects.pop(key)
        self._tell(Change(key, old, None))
