"""Which image bytes a host may read: those of the guests that were ordered for it, and nothing else.

The answer comes from the Assignment in the host's own namespace, whose spec only the operator can write. It is
read afresh for each URL, so a guest that was taken from a host opens nothing there any more.
"""

import re
from collections import OrderedDict
from typing import Protocol, TypeVar

from innkeeper.clock import Clock
from innkeeper.domain import names, orders
from innkeeper.domain.reasons import Desired
from innkeeper.errors import InnkeeperError
from innkeeper.images.callers import NotAllowedError
from innkeeper.images.signing import BlobName
from innkeeper.kube.errors import NotFoundError
from innkeeper.kube.resources import ASSIGNMENTS, IMAGES, Resource
from innkeeper.views.catalog import Image, ImageSource, ImageSpec
from innkeeper.views.meta import View

V = TypeVar("V", bound=View)
MAX_KEPT = 10_000
_GUEST_ID = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class NothingThereError(InnkeeperError):
    """What was asked for does not exist."""

    reason = "NotFound"
    retryable = False


class Getter(Protocol):
    """The part of the API client that is used here."""

    async def get(self, resource: Resource[V], name: str, *, namespace: str | None = None) -> V:
        """Return one object."""
        ...


class Access:
    """Reads the API server to answer which image belongs to what."""

    def __init__(self, client: Getter, *, clock: Clock, keep_s: float = 10) -> None:
        self._client = client
        self._clock = clock
        self._keep_s = keep_s
        self._specs: OrderedDict[BlobName, tuple[ImageSpec, float]] = OrderedDict()

    async def image_of_guest(self, host: str, guest_id: str) -> BlobName:
        """Return the image that `host` needs for one of its guests.

        Raises:
            NothingThereError: the host has no such guest, or one without an image.
            NotAllowedError: the order there is another host's.
        """
        if not _GUEST_ID.fullmatch(guest_id):
            raise NothingThereError("`guestId` is no Guest ID")
        try:
            assignment = await self._client.get(ASSIGNMENTS, guest_id, namespace=names.host_namespace(host))
        except NotFoundError as error:
            raise NothingThereError(f"host {host} has no guest {guest_id}") from error
        order = orders.peek(assignment.spec.order)
        if order.host != host or order.guest_id != guest_id:
            raise NotAllowedError("the order of this Assignment is for another host or guest")
        if order.image is None or order.desired == Desired.DESTROYED:
            raise NothingThereError(f"the order of guest {guest_id} needs no image")
        return BlobName(order.image.namespace, order.image.name, order.image.digest)

    async def source_of(self, blob: BlobName) -> ImageSource:
        """Return where the bytes of a signed URL come from.

        Raises:
            NothingThereError: the Image is gone, or has another digest now.
        """
        return (await self._spec(blob)).source

    async def is_compressed(self, blob: BlobName) -> bool:
        """Tell whether the bytes of a signed URL are those of the source once it is unpacked.

        Raises:
            NothingThereError: the Image is gone, or has another digest now.
        """
        return (await self._spec(blob)).compression is not None

    async def _spec(self, blob: BlobName) -> ImageSpec:
        """Return what an Image says; kept for seconds, since a host may ask range by range."""
        kept = self._specs.get(blob)
        if kept is not None and kept[1] > self._clock.monotonic():
            return kept[0]
        spec = (await self.image_of(blob)).spec
        self._specs[blob] = (spec, self._clock.monotonic() + self._keep_s)
        self._specs.move_to_end(blob)
        while len(self._specs) > MAX_KEPT:
            self._specs.popitem(last=False)
        return spec

    async def image_of(self, blob: BlobName) -> Image:
        """Return the Image of a signed URL, as it is now.

        Raises:
            NothingThereError: the Image is gone, or has another digest now.
        """
        try:
            image = await self._client.get(IMAGES, blob.name, namespace=blob.namespace)
        except NotFoundError as error:
            raise NothingThereError(f"Image {blob.namespace}/{blob.name} does not exist") from error
        if image.served_digest != blob.digest:
            raise NothingThereError(f"Image {blob.namespace}/{blob.name} has another digest now")
        return image
