"""Step 1: which image. The Image exists, may be used, is ready, and fits the disk.

Reads the subset only. What the image server found out about the bytes stands in the Image's status.
"""

from dataclasses import dataclass

from innkeeper.domain.lifecycle.blocked import Blocked
from innkeeper.domain.orders import OrderImage
from innkeeper.domain.quantity import bytes_of, format_bytes
from innkeeper.domain.reasons import ConditionType, GuestReason
from innkeeper.kube.conditions import find
from innkeeper.state import waiting
from innkeeper.state.subset import Subset
from innkeeper.views.catalog import Image
from innkeeper.views.guest import Guest


@dataclass(frozen=True)
class ImageWorker:
    """Resolves images against the subset."""

    subset: Subset
    images_url: str

    def resolve(self, guest: Guest, *, disk_bytes: int) -> OrderImage | Blocked:
        """Return the image of a guest that is not bound yet, or why there is none."""
        namespace, name = self.reference(guest)
        image = self.subset.images.get((namespace, name))
        if image is None or not may_use(guest, image):
            return self._not_there(guest)
        if image.metadata.deletion_timestamp is not None:
            message = f"the Image {namespace}/{name} is being deleted"
            return self._blocked(guest, GuestReason.IMAGE_NOT_FOUND, message)
        ready = find(image.status.conditions, ConditionType.READY)
        if (
            ready is None
            or ready.status != "True"
            or not image.status.virtual_size
            or not image.served_digest
        ):
            return self._not_ready(guest, image)
        found = self.describe(image)
        if found.virtual_size > disk_bytes:
            sizes = f"{format_bytes(found.virtual_size)}, the guest's disk {format_bytes(disk_bytes)}"
            message = f"the image's disk is {sizes}: take a flavor with a larger disk"
            return self._blocked(guest, GuestReason.IMAGE_LARGER_THAN_DISK, message)
        return found

    def describe(self, image: Image) -> OrderImage:
        """Return a ready image as an order names it."""
        namespace, name = image.metadata.namespace, image.metadata.name
        return OrderImage(
            namespace=namespace,
            name=name,
            url=f"{self.images_url}/v1/images/{namespace}/{name}",
            digest=image.served_digest,
            format=image.status.format or image.spec.format,
            size=bytes_of(image.status.size or "0"),
            virtual_size=bytes_of(image.status.virtual_size or "0"),
            manifest_digest=image.status.manifest_digest,
        )

    def bound(self, guest: Guest) -> OrderImage | None:
        """Return the image that a guest is bound to, or None where the Image is gone or is another one now."""
        if guest.status.image is None:
            return None
        image = self.subset.images.get((guest.status.image.namespace, guest.status.image.name))
        if image is None or not image.status.virtual_size:
            return None
        found = self.describe(image)
        return found if found.digest == guest.status.image.digest else None

    def _not_there(self, guest: Guest) -> Blocked:
        """Tell that a guest may use no such image; of another namespace it is not told which Images that has."""
        namespace, name = self.reference(guest)
        if namespace == guest.metadata.namespace:
            return self._blocked(guest, GuestReason.IMAGE_NOT_FOUND, f"there is no Image {namespace}/{name}")
        message = (
            f"there is no Image {namespace}/{name} that is shared with other namespaces by its spec.shared"
        )
        return self._blocked(guest, GuestReason.IMAGE_NOT_SHARED, message)

    def _not_ready(self, guest: Guest, image: Image) -> Blocked:
        name = f"{image.metadata.namespace}/{image.metadata.name}"
        ready = find(image.status.conditions, ConditionType.READY)
        if ready is None or ready.status != "False" or ready.reason == "Preparing":
            # How far that is would be told anew to each guest that waits, at each percent: there may be many.
            message = f"the Image {name} is being read; its status tells how far"
            return self._blocked(guest, GuestReason.IMAGE_NOT_READY, message)
        message = f"the Image {name} cannot be used: {ready.reason}: {ready.message}"
        return self._blocked(guest, GuestReason.IMAGE_FAILED, message)

    def _blocked(self, guest: Guest, reason: GuestReason, message: str) -> Blocked:
        return Blocked(
            step=ConditionType.IMAGE_RESOLVED,
            reason=reason,
            message=message,
            # The disk's size is the flavor's, so a change of the flavor may help as well.
            causes=(waiting.image(*self.reference(guest)), waiting.flavor(guest.spec.flavor or "")),
        )

    @staticmethod
    def reference(guest: Guest) -> tuple[str, str]:
        """Return namespace and name of the Image that a guest names."""
        return guest.spec.image.namespace or guest.metadata.namespace, guest.spec.image.name


def may_use(guest: Guest, image: Image) -> bool:
    """Tell whether a guest may use an image: one of its own namespace, or one that is shared."""
    return image.metadata.namespace == guest.metadata.namespace or image.spec.shared
