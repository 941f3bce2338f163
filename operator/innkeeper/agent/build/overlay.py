"""Step 2: the guest's own disk, over the image."""

import asyncio

from innkeeper.agent.build.build import Build
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError


async def prepare(build: Build) -> None:
    """Make the guest's directory and its disk. A disk that is there is the guest's and stays."""
    build.at(GuestReason.PREPARING_DISK)
    if build.base is None:
        raise InnkeeperError(
            "the image was not fetched before the disk", reason=GuestReason.IMAGE_DOWNLOAD_FAILED
        )
    directory = build.files.directory
    await asyncio.to_thread(directory.mkdir, mode=0o711, parents=True, exist_ok=True)
    await build.images.prepare_overlay(
        build.base, build.files.disk, image=build.image, size_bytes=build.order.resources.disk_bytes
    )
