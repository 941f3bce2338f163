"""The head of an image, looked at by our own code: no QEMU tool opens a file that was not."""

from pathlib import Path

from innkeeper.domain.images import headers
from innkeeper.domain.orders import OrderImage
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError, TerminalError


class ImageUnreadableError(TerminalError):
    """The bytes are the right ones, and no image that may be used."""

    reason = GuestReason.IMAGE_UNREADABLE


def check_header(path: Path, image: OrderImage) -> None:
    """Compare an image's head with what the order says.

    Raises:
        ImageUnreadableError: it is of another format or size, or one that may not be used.
    """
    with path.open("rb") as file:
        head = file.read(headers.HEAD_BYTES)
    try:
        found = headers.parse(head, size=image.size, declared=image.format)
    except InnkeeperError as error:
        raise ImageUnreadableError(error.message) from error
    if found.virtual_size != image.virtual_size:
        sizes = f"{found.virtual_size} bytes; the order says {image.virtual_size}"
        raise ImageUnreadableError(f"the image's disk has {sizes}")
