"""What a build needs from outside: image bytes, disks, seeds.

`agent/imaging` implements `ImageStore`; tests have one in memory. Failures are `InnkeeperError`s with a reason of
`GuestReason`: IMAGE_DOWNLOAD_FAILED (retryable), IMAGE_DIGEST_MISMATCH and IMAGE_UNREADABLE (terminal).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from innkeeper.domain.orders import OrderAddress, OrderImage

Progress = Callable[[int, int], None]  # bytes so far, bytes in all; called from the event loop
TokenSource = Callable[
    [], str | None
]  # this agent's bearer token as it is now: its file is read again when it changes


@dataclass(frozen=True)
class Streamed:
    """An image that is served: whether all of it is here by now, and to which guests."""

    is_whole: bool
    guests: tuple[str, ...]


@dataclass(frozen=True)
class Backing:
    """What a guest's disk lies over, as QEMU names it: a file of this host, or the export of an image on its way."""

    name: str


@dataclass(frozen=True)
class Seed:
    """What cloud-init gets. `user_data` was checked against the order's digest and its size is capped."""

    guest_id: str
    hostname: str
    ssh_keys: tuple[str, ...]
    user_data: bytes | None
    addresses: tuple[OrderAddress, ...]


class ImageStore(Protocol):
    """Images of this host. Every call may be repeated, also after a kill in its middle."""

    async def fetch(self, image: OrderImage, guest_id: str, progress: Progress, *, storage: str) -> Backing:
        """Return what can be read now as the image; it stays there until `release` was called for the guest."""

    async def has_disk(self, disk: Path) -> bool:
        """Tell whether a guest's disk is there."""

    async def prepare_overlay(
        self, base: Backing, overlay: Path, *, image: OrderImage, size_bytes: int
    ) -> None:
        """Make the qcow2 overlay of a guest. One that is there is never replaced: it is the guest's disk."""

    async def before_start(self, image: OrderImage, guest_id: str, disk: Path) -> None:
        """Have what a built guest's disk lies over in its place; its machine is off."""

    async def before_resume(self, image: OrderImage, guest_id: str, disk: Path) -> None:
        """Have what a paused guest's disk lies over in its place, wrong parts of it fetched again.

        Raises:
            InnkeeperError: the guest would read wrong bytes, or none.
        """

    def stands(self, image: OrderImage, guest_id: str) -> str:
        """Say for people how the image of a running guest stands: mode and percent; empty where nothing is known."""

    def streaming(self) -> Mapping[str, Streamed]:
        """Return the images that are served to guests here, by the hex digits of their digests."""

    def held(self) -> Mapping[str, int]:
        """Return the percent of each image that is here, by digest, in coarse steps; those used last come first."""

    async def is_on_stream(self, disk: Path) -> bool:
        """Tell whether a guest's disk still lies over a stream."""

    async def leave(self, name: str, guest_id: str) -> None:
        """A guest's disk is purely local: it needs the stream no more. Absence is success."""

    async def follow(self, on_news: Callable[[], None]) -> None:
        """Keep streams alive and `streaming` true, for ever."""

    async def write_seed(self, seed: Seed, target: Path) -> None:
        """Write the NoCloud seed as an ISO image; one that is there is replaced whole."""

    async def user_data_in(self, seed: Path) -> bytes | None:
        """Return the user data that a seed carries; None where there is none that can be read."""

    async def set_aside(self, guest_id: str) -> None:
        """The guest's files were set aside: its image stays for as long as they lie there. Absence is success."""

    async def release(self, guest_id: str) -> None:
        """The guest is gone: its image may be dropped from the cache. Absence is success."""
