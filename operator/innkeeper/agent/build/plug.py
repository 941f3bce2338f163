"""Step 5: bridge, packet filter and lease of each interface, before the machine can send a frame."""

from innkeeper.agent.build.build import NETWORK, Build
from innkeeper.domain.reasons import GuestReason


async def plug(build: Build) -> None:
    """Have all ready that the guest's interfaces need."""
    build.at(GuestReason.STARTING)
    with build.stopwatch.outside(NETWORK):
        build.interfaces = await build.host_net.prepare(build.order, build.wanted)
