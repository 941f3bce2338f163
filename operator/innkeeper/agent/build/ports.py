"""What a build needs from outside: image bytes, disks, seeds.

`agent/imaging` implements `ImageStore`; tests have one in memory. Failures are `InnkeeperError`s with a reason of
`GuestReason`: IMAGE_DOWNLOAD_FAILED (retryable), IMAGE_DIGEST_MISMATCH and IMAGE_UNREADABLE (terminal).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from innkeeper.domain.orders import OrderAddress, OrderImage

Progress = Callable[[int, int], None]  # bytes so far, bytes in all; called from the event loop
TokenSource = Callable[
    [], str | None
]  # this agent's bearer token as it is now: its file is read again when it changes


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

    async def fetch(self, image: OrderImage, guest_id: str, progress: Progress) -> Path:
        """Return the path of the whole, checked image; it stays there until `release` was called for the guest."""

    async def prepare_overlay(self, base: Path, overlay: Path, *, image: OrderImage, size_bytes: int) -> None:
        """Make the qcow2 overlay of a guest. One that is there is never replaced: it is the guest's disk."""

    async def write_seed(self, seed: Seed, target: Path) -> None:
        """Write the NoCloud seed as an ISO image; one that is there is replaced whole."""

    async def release(self, guest_id: str) -> None:
        """The guest is gone: its image may be dropped from the cache. Absence is success."""
