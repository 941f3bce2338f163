"""What the agent and the streaming process say to each other, and what the process keeps of each image: JSON.

Both ends are of one version but for the moment after an upgrade, in which only `Version` and the end are asked for.
"""

from enum import StrEnum

import msgspec

from innkeeper.domain.orders import OrderImage


class Message(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """Settings that all messages share."""


class Mode(StrEnum):
    """Where guests read an image from."""

    OPENING = "Opening"  # nobody can read it yet, and nobody knows how much of it is here
    STREAMING = "Streaming"  # what is missing is fetched
    LOCAL = "Local"  # all of it is on the host


class Record(Message, frozen=True):
    """An image that is served, and the guests that use it: what a new process goes on with."""

    image: OrderImage
    guests: tuple[str, ...]
    whole_soon: bool = False  # somebody waits for all of it: the background does not wait for a boot to end


class Serve(Message, frozen=True):
    """Serve an image to a guest."""

    image: OrderImage
    guest_id: str
    whole_soon: bool = False
    has_disk: bool = False  # its disk lies over the stream already: only what it read keeps it down


class ImageStatus(Message, frozen=True):
    """How an image stands. Bytes are those of chunks that are not all zeros."""

    name: str
    guests: tuple[str, ...]
    mode: Mode
    here: int
    total: int
    clients: int
    from_origin: int  # bytes that this process fetched
    from_host: int  # bytes that it copied from other images
    reason: str = ""  # what is wrong, if something is
    message: str = ""

    @classmethod
    def opening(cls, name: str, guests: tuple[str, ...]) -> "ImageStatus":
        """Return how an image stands that was not opened yet."""
        return cls(
            name=name,
            guests=guests,
            mode=Mode.OPENING,
            here=0,
            total=0,
            clients=0,
            from_origin=0,
            from_host=0,
        )

    @property
    def percent(self) -> int:
        """How much of the image is here."""
        return 100 * self.here // self.total if self.total else 100


class Statuses(Message, frozen=True):
    """All images, and the number of this answer."""

    number: int
    images: tuple[ImageStatus, ...]


class Version(Message, frozen=True):
    """Of which version the process is."""

    version: str
    pid: int


class Failure(Message, frozen=True):
    """Why something was not done."""

    reason: str
    message: str
    retryable: bool
