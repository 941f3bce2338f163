"""The process `innkeeper stream`: started by the agent, and alive until no guest needs it any more; or for ever.

It shows the agent's own token to the image server. That, and the image server's authority, are read anew whenever their
files change.
"""

import asyncio
import resource

import structlog

from innkeeper import __version__
from innkeeper.agent.identity import credentials_of
from innkeeper.agent.imaging.comparisons import Comparisons
from innkeeper.agent.imaging.files import ImageFiles
from innkeeper.agent.imaging.image_server import ImageServerSession
from innkeeper.agent.only_one import only_one
from innkeeper.agent.streaming.chunk_index import ChunkIndex
from innkeeper.agent.streaming.control import Control, News
from innkeeper.agent.streaming.nbd.server import NbdServer
from innkeeper.agent.streaming.pace import Pace
from innkeeper.agent.streaming.settings import StreamSettings
from innkeeper.agent.streaming.socket_access import qemu_access
from innkeeper.agent.streaming.stream import Surroundings
from innkeeper.agent.streaming.streams import Streams
from innkeeper.agent.streaming.whole_images import add_whole_images
from innkeeper.clock import Clock, SystemClock
from innkeeper.telemetry import logs

log = structlog.get_logger(__name__)


async def run_stream(settings: StreamSettings) -> None:
    """Serve until no image is needed, or for ever."""
    logs.configure(form=settings.log_format, level=settings.log_level, process="stream")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a socket for each disk of a guest
    files, clock, news = ImageFiles(settings.directory), SystemClock(), News()
    files.make()
    credentials = credentials_of(join_file=settings.join_file, kubeconfig=settings.kubeconfig)
    access = qemu_access(settings.qemu_group)
    index = ChunkIndex()
    around = Surroundings(
        files=files,
        comparisons=Comparisons(files),
        index=index,
        pace=Pace(settings.fill_mib_s * 1024**2, clock),
        clock=clock,
        changed=news.tell,
    )
    with only_one(files.records / "lock", who="streaming process"):
        await asyncio.to_thread(add_whole_images, index, files)
        async with ImageServerSession(settings.images_ca_file) as session:
            streams = Streams(session, around, token=credentials.bearer)
            server = NbdServer(files.nbd_socket, streams, access=access)
            streams.clients, streams.hang_up = server.clients, server.drop
            serving = asyncio.create_task(server.run())
            await streams.load()
            runner = await Control(streams, news).listen(files.control_socket)
            log.info("stream_started", version=__version__, images=len(streams))
            try:
                ended, _ = await asyncio.wait(
                    (serving, asyncio.create_task(until_idle(streams, clock, settings.idle_s))),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in ended:
                    task.result()
            finally:
                await runner.cleanup()
                serving.cancel()
                await asyncio.wait((serving,))
                await streams.close()


async def until_idle(streams: Streams, clock: Clock, idle_s: float) -> None:
    """Wait until nobody needed the process for so long; for ever where that is 0."""
    idle_since = clock.monotonic()
    while True:
        if streams.is_needed:
            idle_since = clock.monotonic()
        elif idle_s and clock.monotonic() - idle_since >= idle_s:
            return
        await clock.sleep(1.0)
