"""How to learn again what the API server holds, when much of it is known: versions first, then only what changed.

A list of metadata is a small part of a whole list. Where many objects changed, one whole list costs less than many single
reads, so that is made instead. Nothing is decided here about what is newer: the informer does that.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

import structlog

from innkeeper.kube.answers import Listing
from innkeeper.kube.client import Client
from innkeeper.kube.errors import NotFoundError, UnreadableError
from innkeeper.kube.resources import Resource
from innkeeper.views.meta import Meta, View

V = TypeVar("V", bound=View)
Key = tuple[str, str]

log = structlog.get_logger()

AT_ONCE = 16
# A whole object costs the API server about as much in a list as its metadata and a tenth of a single read.
MOST_PART = 0.1
MOST_SINGLE = 100


class Way(StrEnum):
    """How the objects of a kind became known."""

    SNAPSHOT = "snapshot"  # from a file, and the watch went on from there
    METADATA = "metadata"  # from a list of metadata, and single reads of what had changed
    LIST = "list"  # from a whole list


@dataclass(frozen=True)
class Learnt(Generic[V]):
    """What a relist found: which objects are there, and the content of those that changed."""

    way: Way
    there: frozenset[Key]
    changed: list[V]
    resource_version: str


@dataclass(frozen=True)
class Scope(Generic[V]):
    """Which objects: of a kind, in one namespace or in all, with some labels or with any."""

    client: Client
    resource: Resource[V]
    namespace: str | None = None
    label_selector: str | None = None

    async def version(self) -> int:
        """Return the version of all of it, as it is now.

        Raises:
            ApiError: the API server refused, or is away.
        """
        return await self.client.version_of(self.resource, namespace=self.namespace)

    async def whole(self) -> Learnt[V]:
        """Read everything.

        Raises:
            ApiError: the API server refused, or is away.
        """
        listing = await self.client.list(
            self.resource, namespace=self.namespace, label_selector=self.label_selector
        )
        there = frozenset(_keys(listing)) | listing.unreadable
        return Learnt(Way.LIST, there, listing.items, listing.resource_version)

    async def changed_since(self, known: Mapping[Key, Meta], *, highest: int) -> Learnt[V]:
        """Read what is not as it is known; everything where much changed, or where the store went back.

        `highest` is the highest version ever seen: a list below it comes from a store that was restored, and then
        versions say nothing about what is newer.

        Raises:
            ApiError: the API server refused, or is away.
        """
        if not known:
            return await self.whole()
        listing = await self.client.list_metadata(
            self.resource, namespace=self.namespace, label_selector=self.label_selector
        )
        if int(listing.resource_version or 0) < highest:
            return await self.whole()
        wanted = [
            key
            for each in listing.items
            if _is_other(each.metadata, known.get(key := (each.metadata.namespace, each.metadata.name)))
        ]
        if len(wanted) > max(MOST_SINGLE, MOST_PART * len(listing.items)):
            return await self.whole()
        changed = await self._read(wanted)
        return Learnt(Way.METADATA, frozenset(_keys(listing)), changed, listing.resource_version)

    async def _read(self, keys: Iterable[Key]) -> list[V]:
        """Read single objects, some at once; one that is gone meanwhile, or cannot be read, is left as it is known."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(key: Key) -> V | None:
            async with gate:
                try:
                    return await self.client.get(self.resource, key[1], namespace=key[0] or None)
                except NotFoundError:
                    return None
                except UnreadableError as error:
                    log.warning(
                        "object_unreadable", kind=self.resource.kind, object=key, message=error.message
                    )
                    return None

        found = await asyncio.gather(*(one(key) for key in keys))
        return [each for each in found if each is not None]


def _is_other(there: Meta, known: Meta | None) -> bool:
    return known is None or (there.uid, there.resource_version) != (known.uid, known.resource_version)


def _keys(listing: Listing[V]) -> Iterable[Key]:
    for each in listing.items:
        metadata: Meta = each.metadata  # type: ignore[attr-defined] # View itself has none, every kind does
        yield (metadata.namespace, metadata.name)
