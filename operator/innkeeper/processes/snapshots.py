"""Begins from a snapshot where there is one that fits, and writes one now and then, and at an orderly end.

A snapshot belongs to one API server's store and to its history: see `store_history`. A kind of which the store knows only
older versions begins with a list.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog

from innkeeper import whole_files
from innkeeper.clock import Clock, parse_rfc3339, rfc3339
from innkeeper.domain.names import GROUP
from innkeeper.domain.rebuild.gate import Standing
from innkeeper.errors import InnkeeperError
from innkeeper.kube.client import Client
from innkeeper.kube.errors import ThrottledError, UnavailableError
from innkeeper.kube.informer import Informer
from innkeeper.kube.resources import Resource
from innkeeper.processes import garbage
from innkeeper.processes.store_history import History, StoreHistory
from innkeeper.processes.watches import Watch, Watches
from innkeeper.state import snapshot, snapshot_hosts
from innkeeper.state.snapshot import Kind, Origin, Part, Refused, Snapshot, SnapshotRefusedError
from innkeeper.telemetry.metrics import SnapshotMetrics
from innkeeper.views.meta import View

log = structlog.get_logger(__name__)

AGAIN_S = 0.5
AT_ONCE = 1000  # objects that are taken in one go
END_S = 5.0  # how long an orderly end waits for the last snapshot's mark


class Snapshots:
    """The snapshot of one replica."""

    def __init__(
        self,
        path: Path,
        *,
        client: Client,
        clock: Clock,
        watches: Watches,
        namespace: str,
        every_s: float,
        metrics: SnapshotMetrics,
    ) -> None:
        self._path = path
        self._client = client
        self._clock = clock
        self._watches = watches
        self._history = StoreHistory(client, clock, namespace=namespace)
        self._every_s = every_s
        self._metrics = metrics
        self._origin: Origin | None = None
        self._to_fill: list[tuple[Informer[Any], Part]] = []
        # The mark of the last file that was written for certain; that of `_origin` may be in none.
        self._filed = ""
        self._other: Standing | None = (
            None  # what was found of the store, where it is not the one that was known
        )
        self._named: dict[str, str | None] | None = None  # the hosts in the file, once they were read
        # What happened in the store before that moment is known, or was heard of hosts.
        self._knows_until = clock.now()

    def standing(self, history: History) -> Standing:
        """Tell whether the store goes on from what this process knew of it.

        What informers found counts as a loss too. One that was made good since, by whoever leads, is none any more.
        """
        found = self._by_mark(history)
        if self._watches.went_back.is_set() and found not in _OTHERS.values():
            found = self._by_watches(history)
        if found is Standing.OTHER_HISTORY and self._is_made_good(history):
            log.info("store_was_healed", at=history.noted_at)
            self.accept(history)
            self._watches.went_back.clear()
            return Standing.UNKNOWN
        return found

    def _by_watches(self, history: History) -> Standing:
        is_same = self._origin is None or self._origin.store == history.store
        return Standing.OTHER_HISTORY if is_same else Standing.OTHER_STORE

    def _is_made_good(self, history: History) -> bool:
        """Tell whether hosts were heard since, and every view is of the store as it is now.

        To whoever leads it is never so: that one has to end.
        """
        are_current = all(each.informer.watching for each in self._watches.all)
        return self._watches.unused.is_set() and are_current and self._is_healed(history)

    def _is_healed(self, history: History) -> bool:
        return history.is_healed(since=self._knows_until, now=self._clock.now())

    def _by_mark(self, history: History) -> Standing:
        if self._other is not None:
            return self._other
        if self._origin is None or not self._origin.mark:
            return Standing.UNKNOWN
        try:
            _check(self._origin, history)
        except SnapshotRefusedError as error:
            return _OTHERS[error.why]
        return Standing.SAME

    def accept(self, history: History) -> None:
        """Go on from the store as it is: what it lacks was looked for elsewhere."""
        if self._by_mark(history) in _OTHERS.values():
            self._origin, self._filed = Origin(history.store, secrets.token_hex(4), mark=""), ""
        self._other = None
        self._named = None
        self._knows_until = self._clock.now()

    async def hosts(self) -> Mapping[str, str | None]:
        """Return the hosts that the file names, by where each is reached, whosever store it is of.

        It is left as it is until the store was accepted, so that it names them after any number of starts.
        """
        if self._named is None:
            try:
                self._named = snapshot_hosts.hosts_of(await asyncio.to_thread(snapshot.read, self._path))
            except SnapshotRefusedError as error:
                log.info("snapshot_names_no_hosts", why=error.why, message=error.message)
                self._named = {}
        return self._named

    async def names_nobody(self, history: History) -> bool:
        """Tell whether there is a file of this store, and it names no host."""
        if self._by_mark(history) not in (Standing.SAME, Standing.OTHER_HISTORY):
            return False
        try:
            return not snapshot_hosts.hosts_of(await asyncio.to_thread(snapshot.read, self._path))
        except SnapshotRefusedError:
            return False

    async def load(self) -> None:
        """Have every kind that the file knows begin from it; wait for the API server, which says whose store it is."""
        await self.begin()
        await self.fill()

    async def begin(self) -> None:
        """Have every kind that the file knows begin at its version there; its objects are still to come (`fill`).

        So the watches catch up while objects are read. The API server is waited for: it says whose store it is.
        """
        opening = asyncio.ensure_future(asyncio.to_thread(self._opened))
        versions = self._ask_versions()
        try:
            history = await self._read_history()
            self._origin = Origin(store=history.store, replica=secrets.token_hex(4), mark="")
            found = await self._fitting(opening, history)
            if found is not None:
                self._origin, self._filed = found.origin, found.origin.mark
                for watch in self._kept():
                    await self._begin(watch, found, versions)
        finally:
            await _ended(opening, *versions.values())

    def _opened(self) -> Snapshot:
        return snapshot.opened(snapshot.read(self._path), views=self._views())

    async def _fitting(self, opening: Awaitable[Snapshot], history: History) -> Snapshot | None:
        """Return what the file holds, or None where it is of no use here."""
        try:
            found = await opening
            self._knows_until = parse_rfc3339(found.made_at)
            _check(found.origin, history)
        except SnapshotRefusedError as error:
            self._note_refused(error)
            self._other = _OTHERS.get(error.why)
            if error.why is Refused.OTHER_HISTORY and self._is_healed(history):
                self.accept(history)
            return None
        return found

    def _note_refused(self, error: SnapshotRefusedError) -> None:
        log.info("snapshot_not_used", why=error.why, message=error.message)
        self._metrics.loads.labels(outcome=error.why).inc()

    def _ask_versions(self) -> dict[str, asyncio.Task[int | None]]:
        """Ask for the version of every kind, by name, while the file is read; of no file, of none."""
        if not self._path.exists():
            return {}
        return {
            _name(each): asyncio.create_task(self._version_of(each.informer.resource))
            for each in self._kept()
        }

    async def _begin(
        self, watch: Watch[Any], found: Snapshot, versions: Mapping[str, asyncio.Task[int | None]]
    ) -> None:
        part, resource = found.parts.get(_name(watch)), watch.informer.resource
        if part is None:
            return
        asked = versions.get(_name(watch))
        now = await (asked or self._version_of(resource))
        if now is None:
            return
        if now < int(part.resource_version):
            log.warning("store_went_back", kind=resource.kind, seen=part.resource_version, listed=now)
            self._watches.went_back.set()
            return
        watch.informer.begin_at(part.resource_version, current=now)
        self._to_fill.append((watch.informer, part))

    async def fill(self) -> None:
        """Hand on the objects of the kinds that began, a few at a time: other work goes on meanwhile."""
        # The small kinds first: while they are read, the watches of the others begin.
        coming = deque(sorted(self._to_fill, key=lambda each: each[1].size))
        self._to_fill.clear()
        if not coming:
            return
        count = len(coming)
        with garbage.left_alone():
            try:
                while coming:
                    informer, part = coming[0]
                    await _filled(informer, part)
                    coming.popleft()
            except SnapshotRefusedError as error:
                self._note_refused(error)
                return
            finally:
                for informer, _ in coming:
                    informer.unfilled()
        self._metrics.loads.labels(outcome="used").inc()
        log.info("snapshot_used", kinds=count)

    async def _read_history(self) -> History:
        while True:
            try:
                return await self._history.read()
            except InnkeeperError as error:
                log.warning("store_not_read", reason=error.reason, message=error.message)
                await self._clock.sleep(AGAIN_S)

    async def _version_of(self, resource: Resource[Any]) -> int | None:
        """Return the version that a kind has now, or None where it is not served.

        An API server that just began answers that it is not ready for a kind; to list everything then would be the worst
        moment.
        """
        while True:
            try:
                return await self._client.version_of(resource)
            except (ThrottledError, UnavailableError) as error:
                log.info("snapshot_kind_not_ready", kind=resource.kind, message=error.message)
                await self._clock.sleep(AGAIN_S)
            except InnkeeperError as error:
                log.info("snapshot_kind_not_used", kind=resource.kind, message=error.message)
                return None

    async def run(self) -> None:
        """Write for ever, and once more when it is ended in order."""
        try:
            while True:
                await self._clock.sleep(self._every_s)
                await self.write()
        finally:
            try:
                async with asyncio.timeout(END_S):
                    await self.write()
            except TimeoutError:
                log.warning("snapshot_not_written", message="the API server did not answer in time")

    async def write(self) -> None:
        """Write a snapshot of this moment, once the store is marked; other work goes on meanwhile."""
        if self._origin is None or not self._is_synced():
            return
        try:
            history = await self._history.read()
            if not self._goes_on(history):
                return
            before, state = self._origin, self._state()
            mark = await self._history.mark(before.replica, before=(before.mark, self._filed))
        except InnkeeperError as error:
            log.warning("store_not_marked", reason=error.reason, message=error.message)
            self._metrics.failures.inc()
            return
        self._origin = Origin(store=before.store, replica=before.replica, mark=mark)
        self._knows_until = self._clock.now()
        if await asyncio.to_thread(self._write, state, self._origin, rfc3339(self._knows_until)):
            self._filed = mark

    def _goes_on(self, history: History) -> bool:
        """Tell whether a snapshot may take the place of the one that is there.

        What is known of a store that is gone, or of what was lost of one, names hosts that nobody else may know of; and a
        new mark would hide from whoever leads next that something was lost.
        """
        standing = self.standing(history)
        if standing is Standing.OTHER_HISTORY:
            self._other = standing
        if standing not in _OTHERS.values():
            return True
        if self._origin is None or history.store != self._origin.store:
            return False  # the store was replaced under this process, whose view may be of both
        if standing is Standing.OTHER_STORE and history.is_settled and not self._watches.went_back.is_set():
            self.accept(history)
            return True
        return False

    def _is_synced(self) -> bool:
        return all(each.informer.synced.is_set() for each in self._kept())

    def _state(self) -> dict[str, Kind]:
        """Return every kind at one moment; the objects never change, so that lists of them are enough."""
        return {
            _name(each): Kind(each.informer.resource_version, list(each.informer.objects.values()))
            for each in self._kept()
            if each.informer.resource_version
        }

    def _write(self, state: Mapping[str, Kind], origin: Origin, made_at: str) -> bool:
        """Tell whether the file is there for good."""
        began = self._clock.monotonic()
        content = snapshot.encode(state, views=self._views(), origin=origin, made_at=made_at)
        try:
            whole_files.put(self._path, content)
        except OSError as error:
            log.warning("snapshot_not_written", message=str(error))
            self._metrics.failures.inc()
            return False
        self._metrics.written(len(content), seconds=self._clock.monotonic() - began, at=self._clock.now())
        return True

    def _kept(self) -> Iterator[Watch[Any]]:
        """Heartbeats change too often to be worth keeping; CRDs are few and not ours."""
        mine = (self._watches.leases, self._watches.crds)
        return (each for each in self._watches.all if each not in mine)

    def _views(self) -> dict[str, type[View]]:
        return {_name(each): each.informer.resource.view for each in self._kept()}


_OTHERS = {Refused.OTHER_STORE: Standing.OTHER_STORE, Refused.OTHER_HISTORY: Standing.OTHER_HISTORY}


def _check(origin: Origin, history: History) -> None:
    """Refuse a snapshot that this store does not go on from.

    Raises:
        SnapshotRefusedError: it is of another store, or the store lost what happened before it.
    """
    if origin.store != history.store:
        raise SnapshotRefusedError(Refused.OTHER_STORE, "the snapshot is of another API server's store")
    if origin.mark not in history.marks.get(origin.replica, ()):
        raise SnapshotRefusedError(
            Refused.OTHER_HISTORY,
            "the store does not hold the snapshot's mark: it was restored from an older copy",
        )


async def _filled(informer: Informer[Any], part: Part) -> None:
    """Hand an informer all objects of its kind.

    Raises:
        SnapshotRefusedError: they have another form.
    """
    objects = part.objects()
    for begin in range(0, len(objects), AT_ONCE):
        await asyncio.sleep(0)
        informer.fill(objects[begin : begin + AT_ONCE])
    informer.filled()


async def _ended(*waits: asyncio.Future[Any]) -> None:
    """End what nobody waits for any more."""
    for each in waits:
        each.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


def _name(watch: Watch[Any]) -> str:
    resource = watch.informer.resource
    return resource.plural if resource.group == GROUP else f"{resource.plural}.{resource.group}"
