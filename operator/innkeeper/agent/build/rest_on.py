"""Step 3: what the disk lies over is in its place. A disk of an earlier try may lie over a stream that has ended."""

from innkeeper.agent.build.build import IMAGE, Build


async def rest_on(build: Build) -> None:
    """Have the stream served again, or the disk put onto the whole image where that is here by now."""
    with build.stopwatch.outside(IMAGE):
        await build.images.before_start(build.image, build.order.guest_id, build.files.disk)
