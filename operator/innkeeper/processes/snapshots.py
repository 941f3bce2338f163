"""Begins from a snapshot where there is one that fits, and writes one now and then, and at an orderly end.

A snapshot belongs to one API server's store: kube-system's UID and a random token that the operator keeps there. A list
that is older than the snapshot comes from a store that was restored, so that kind begins with a list.
"""

import asyncio
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog

from innkeeper.clock import Clock, rfc3339
from innkeeper.domain.names import GROUP
from innkeeper.errors import InnkeeperError
from innkeeper.kube.client import Client
from innkeeper.kube.errors import AlreadyExistsError, NotFoundError
from innkeeper.kube.resources import CONFIG_MAPS, NAMESPACES
from innkeeper.processes.watches import Watch, Watches
from innkeeper.state import snapshot
from innkeeper.state.snapshot import Kind, Snapshot, SnapshotRefusedError
from innkeeper.telemetry.metrics import SnapshotMetrics
from innkeeper.views.meta import View

log = structlog.get_logger(__name__)

TOKEN_OBJECT = "innkeeper-store"  # noqa: S105 - the name of an object
KUBE_SYSTEM = "kube-system"
AGAIN_S = 2.0


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
        self._namespace = namespace
        self._every_s = every_s
        self._metrics = metrics
        self._store: str | None = None

    async def load(self) -> None:
        """Have every kind that the file knows begin from it; wait for the API server, which says whose store it is."""
        while self._store is None:
            try:
                self._store = await self._store_token()
            except InnkeeperError as error:
                log.warning("store_token_not_read", reason=error.reason, message=error.message)
                await self._clock.sleep(AGAIN_S)
        try:
            content = await asyncio.to_thread(snapshot.read, self._path)
            found = snapshot.decode(content, views=self._views(), store=self._store)
        except SnapshotRefusedError as error:
            log.info("snapshot_not_used", why=error.why, message=error.message)
            self._metrics.loads.labels(outcome=error.why).inc()
            return
        await asyncio.gather(*(self._resume(watch, found) for watch in self._kept()))
        self._metrics.loads.labels(outcome="used").inc()
        log.info("snapshot_used", made_at=found.made_at, kinds=len(found.kinds))

    async def _resume(self, watch: Watch[Any], found: Snapshot) -> None:
        kind = found.kinds.get(_name(watch))
        if kind is None:
            return
        resource = watch.informer.resource
        try:
            now = await self._client.version_of(resource)
        except InnkeeperError as error:
            log.info("snapshot_kind_not_used", kind=resource.kind, message=error.message)
            return
        if now < int(kind.resource_version):
            log.warning("store_went_back", kind=resource.kind, seen=kind.resource_version, listed=now)
            return
        watch.informer.resume(kind.objects, kind.resource_version)

    async def run(self) -> None:
        """Write for ever, and once more when it is ended in order."""
        try:
            while True:
                await self._clock.sleep(self._every_s)
                await self.write()
        finally:
            content = self._content()
            if content is not None:
                self._write(content)

    async def write(self) -> None:
        """Write a snapshot of this moment; other work goes on while it is encoded and written."""
        state = self._state()
        if state is not None:
            await asyncio.to_thread(lambda: self._write(self._encoded(state)))

    def _content(self) -> bytes | None:
        state = self._state()
        return self._encoded(state) if state is not None else None

    def _state(self) -> dict[str, Kind] | None:
        """Return every kind at one moment; the objects never change, so that lists of them are enough."""
        watches = list(self._kept())
        if self._store is None or not all(each.informer.synced.is_set() for each in watches):
            return None
        return {
            _name(each): Kind(each.informer.resource_version, list(each.informer.objects.values()))
            for each in watches
            if each.informer.resource_version
        }

    def _encoded(self, state: Mapping[str, Kind]) -> bytes:
        made_at = rfc3339(self._clock.now())
        return snapshot.encode(state, views=self._views(), store=self._store or "", made_at=made_at)

    def _write(self, content: bytes) -> None:
        began = self._clock.monotonic()
        try:
            snapshot.write(self._path, content)
        except OSError as error:
            log.warning("snapshot_not_written", message=str(error))
            self._metrics.failures.inc()
            return
        self._metrics.written(len(content), seconds=self._clock.monotonic() - began, at=self._clock.now())

    def _kept(self) -> Iterator[Watch[Any]]:
        """Heartbeats change too often to be worth keeping; CRDs are few and not ours."""
        mine = (self._watches.leases, self._watches.crds)
        return (each for each in self._watches.all if each not in mine)

    def _views(self) -> dict[str, type[View]]:
        return {_name(each): each.informer.resource.view for each in self._kept()}

    async def _store_token(self) -> str:
        """Return what tells this store from every other one, also from an older copy of another cluster's."""
        system = await self._client.get(NAMESPACES, KUBE_SYSTEM)
        try:
            held = await self._client.get(CONFIG_MAPS, TOKEN_OBJECT, namespace=self._namespace)
        except NotFoundError:
            body = {"metadata": {"name": TOKEN_OBJECT}, "data": {"token": secrets.token_hex(16)}}
            try:
                held = await self._client.create(CONFIG_MAPS, body, namespace=self._namespace)
            except AlreadyExistsError:
                held = await self._client.get(CONFIG_MAPS, TOKEN_OBJECT, namespace=self._namespace)
        return f"{system.metadata.uid}/{held.data.get('token', '')}"


def _name(watch: Watch[Any]) -> str:
    resource = watch.informer.resource
    return resource.plural if resource.group == GROUP else f"{resource.plural}.{resource.group}"
