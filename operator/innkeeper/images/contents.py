"""Where the bytes that hosts get come from: the source itself, or the store where the source is compressed.

An unpacked image that the store has not, or has no more, is made again: who asks is told to come back, or why it fails.
"""

from typing import Protocol

from innkeeper.errors import InnkeeperError
from innkeeper.images.access import Access
from innkeeper.images.answers import Failed, InspectRequest
from innkeeper.images.figures import Figures
from innkeeper.images.inspection import Inspector, Resting
from innkeeper.images.signing import BlobName
from innkeeper.images.sources.source import Source, SourceError
from innkeeper.images.unpacking.store import Store
from innkeeper.views.catalog import ImageSource


class Opener(Protocol):
    """Opens the source of an Image."""

    async def open(self, source: ImageSource, *, namespace: str, for_hosts: bool) -> Source:
        """Return the source, unread; for hosts, places that gave nothing lately come last."""
        ...


class BusyError(InnkeeperError):
    """The server cannot give the bytes yet; who asks again soon gets them."""

    reason = "Busy"


class Contents:
    """Opens what a signed URL names."""

    def __init__(
        self,
        *,
        access: Access,
        opener: Opener,
        inspector: Inspector,
        store: Store | None,
        figures: Figures,
    ) -> None:
        self._access = access
        self._opener = opener
        self._inspector = inspector
        self._store = store
        self._figures = figures

    async def open(self, blob: BlobName) -> Source:
        """Return the bytes, unread.

        Raises:
            NothingThereError: the Image is gone, or has another digest now.
            BusyError: the image is being unpacked, or rests before it is.
            SourceError: it cannot be unpacked, or the source cannot be opened.
        """
        if not await self._access.is_compressed(blob):
            source = await self._access.source_of(blob)
            return await self._opener.open(source, namespace=blob.namespace, for_hosts=True)
        found = self._store.find(blob.digest) if self._store is not None else None
        self._figures.store_lookups.labels(outcome="miss" if found is None else "hit").inc()
        if found is not None:
            return found
        answer = self._inspector.unpack_again(InspectRequest.of(await self._access.image_of(blob)))
        if isinstance(answer, Failed):
            raise SourceError(answer.message, reason=answer.reason, retryable=answer.retryable)
        if isinstance(answer, Resting):
            raise BusyError(
                "the image was unpacked just now and the store has lost it already: "
                f"it is unpacked again in {answer.left_s:.0f} s at the earliest"
            )
        raise BusyError("the image is being unpacked again; ask again soon")
