"""Step 7: the machine runs."""

from innkeeper.agent.build.build import HYPERVISOR, Build
from innkeeper.domain.reasons import GuestReason


async def start(build: Build) -> None:
    """Start the machine; one that lives is left alone."""
    build.at(GuestReason.STARTING)
    with build.stopwatch.outside(HYPERVISOR):
        await build.driver.start(build.order.guest_id)
