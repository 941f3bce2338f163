"""Step 0, of a guest that was built before: its disk is there. One that is lost is never replaced by an empty one.

The store may have been put back, or made anew, on a machine without the disks, or these lie on what is not mounted. So
it is not for the store alone to say that a guest was built before: see `agent.admitting`.
"""

from innkeeper.agent.build.build import Build
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError


class DiskMissingError(InnkeeperError):
    """The disk of a guest that was built is gone; trying again helps once somebody has put it back."""

    reason = GuestReason.DISK_MISSING


async def find(build: Build) -> None:
    """Look for the disk of a guest that has one.

    Raises:
        DiskMissingError: it is not there.
    """
    if build.was_built and not await build.images.has_disk(build.files.disk):
        raise DiskMissingError(
            "its disk is gone from its host, and an empty one is never made in its place: mount or put back the "
            "directory of guests there, or delete the guest where its disk is lost"
        )
