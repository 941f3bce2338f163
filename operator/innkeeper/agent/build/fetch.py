"""Step 1: the image, so far that the guest can read it: served while it arrives, or whole where that was asked for."""

from innkeeper.agent.build.build import IMAGE, Build
from innkeeper.domain.reasons import GuestReason

_STEP_PERCENT = 10


async def fetch(build: Build) -> None:
    """Have the image readable here; where all of it is waited for, it is shown in tenths how far that is."""
    build.at(GuestReason.STREAMING)
    shown = 0

    def progress(done: int, total: int) -> None:
        nonlocal shown
        percent = 100 * done // total if total > 0 else 0
        if percent >= shown + _STEP_PERCENT:
            shown = percent - percent % _STEP_PERCENT
            build.at(GuestReason.STREAMING, f"{shown} % of the image is here")

    with build.stopwatch.outside(IMAGE):
        build.base = await build.images.fetch(
            build.image, build.order.guest_id, progress, storage=build.order.spec.storage
        )
