"""The agent's end of the streaming process: starts it when it is needed, asks it, and follows how its images stand.

A process that is gone is started again at once: guests that read from it wait, or are paused and go on. One of another
version is replaced, so an upgrade of the agent is one of both. Where somebody else starts it, the agent waits for it, and
takes it as it is.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
import structlog

from innkeeper import __version__
from innkeeper.agent.build.ports import Progress
from innkeeper.agent.imaging.files import ImageFiles
from innkeeper.agent.imaging.partial import DownloadFailedError
from innkeeper.agent.streaming.messages import Failure, ImageStatus, Mode, Serve, Statuses, Version
from innkeeper.agent.streaming.settings import StreamProcess
from innkeeper.clock import Clock
from innkeeper.domain.orders import OrderImage
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError

log = structlog.get_logger(__name__)

T = TypeVar("T")

START_S = 30.0
ANSWER_S = 60.0
NEWS_GAP_S = 2.0  # news are told at most so often
_LOOK_S = 0.05


@dataclass(frozen=True)
class StreamCommand:
    """How the process is started: the agent's own identity and settings."""

    directory: Path
    join_file: Path | None = None
    kubeconfig: Path | None = None
    images_ca_file: Path | None = None
    fill_mib_s: float | None = None
    qemu_group: str | None = None
    log_format: str = "json"
    log_level: str = "info"

    def words(self) -> Sequence[str]:
        """Return the command line."""
        options = {
            "--directory": self.directory,
            "--join-file": self.join_file,
            "--kubeconfig": self.kubeconfig,
            "--images-ca-file": self.images_ca_file,
            "--fill-mib-s": self.fill_mib_s,
            "--qemu-group": self.qemu_group,
            "--log-format": self.log_format,
            "--log-level": self.log_level,
        }
        given = [word for name, value in options.items() if value is not None for word in (name, str(value))]
        return [sys.executable, "-m", "innkeeper", "stream", *given]


class Streamer:
    """The streaming process of this host."""

    def __init__(
        self,
        command: StreamCommand,
        *,
        clock: Clock,
        process: StreamProcess = StreamProcess.OWN,
        stuck_s: float = 60.0,
    ) -> None:
        self._command = command
        self._stuck_s = stuck_s
        self._process = process
        self._files = ImageFiles(command.directory)
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._starting = asyncio.Lock()
        self._checked = False
        self.is_heard = False
        self.statuses: dict[str, ImageStatus] = {}

    async def serve(
        self, image: OrderImage, guest_id: str, *, whole_soon: bool = False, has_disk: bool = False
    ) -> ImageStatus:
        """Have an image served to a guest; returns when the guest may read.

        One that has its disk is not refused for wrong chunks that no read failed on, nor for the digest of the whole.

        Raises:
            InnkeeperError: it may not, and the reason is one of a guest's.
        """
        wanted = Serve(image=image, guest_id=guest_id, whole_soon=whole_soon, has_disk=has_disk)
        body = msgspec.json.encode(wanted)
        status = await self._ask("PUT", "/v1/images", ImageStatus, body=body)
        self.statuses[status.name] = status
        return status

    async def leave(self, name: str, guest_id: str) -> None:
        """A guest needs the stream no more."""
        if not await asyncio.to_thread(self._files.record(name).exists):
            return
        await self._ask("DELETE", f"/v1/images/{name}/guests/{quote(guest_id)}", dict)
        if not await asyncio.to_thread(self._files.record(name).exists):
            self.statuses.pop(name, None)

    async def until_whole(self, name: str, progress: Progress) -> None:
        """Wait until all of an image is here, and as long as more of it comes: who waits keeps others from building.

        Raises:
            InnkeeperError: it cannot come whole, or nothing of it came for a while.
        """
        number, here, moved_at = 0, -1, self._clock.monotonic()
        stuck = f"nothing of the image came for {self._stuck_s:.0f} s"
        while True:
            try:
                async with asyncio.timeout(self._stuck_s):
                    news = await self._ask("GET", f"/v1/images?after={number}", Statuses)
            except TimeoutError as error:
                raise DownloadFailedError(stuck) from error
            number = news.number
            status = next((each for each in news.images if each.name == name), None)
            if status is None:
                raise DownloadFailedError("the streaming process does not know the image any more")
            if status.mode is not Mode.OPENING:
                progress(status.here, status.total)
            if status.mode is Mode.LOCAL:
                return
            if status.reason and status.reason != GuestReason.IMAGE_DOWNLOAD_FAILED:
                raise InnkeeperError(status.message, reason=status.reason)
            if status.here != here:
                here, moved_at = status.here, self._clock.monotonic()
            elif self._clock.monotonic() - moved_at >= self._stuck_s:
                raise DownloadFailedError(status.message or stuck)
            await self._clock.sleep(_LOOK_S)

    async def follow(self, on_news: Callable[[], None]) -> None:
        """Keep `statuses` true for ever, and the process alive while any image is served."""
        number = 0
        while True:
            if not await asyncio.to_thread(self._is_needed):
                self.statuses.clear()
                self.is_heard = True
                await self._clock.sleep(NEWS_GAP_S)
                continue
            try:
                news = await self._ask("GET", f"/v1/images?after={number}", Statuses)
            except (InnkeeperError, aiohttp.ClientError, OSError, ValueError) as error:
                log.warning("stream_unheard", error=str(error) or type(error).__name__)
                number = 0
            else:
                number = news.number
                self.statuses = {each.name: each for each in news.images}
                self.is_heard = True
                on_news()
            await self._clock.sleep(NEWS_GAP_S)

    async def close(self) -> None:
        """Let go of the process; it goes on."""
        if self._session is not None:
            await self._session.close()

    def _is_needed(self) -> bool:
        return any(self._files.records.glob("*.json"))

    async def _ask(self, method: str, path: str, form: type[T], *, body: bytes | None = None) -> T:
        try:
            return await self._try(method, path, form, body=body)
        except (aiohttp.ClientConnectionError, OSError):
            self._checked = False
        await self._start()
        try:
            return await self._try(method, path, form, body=body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = str(error) or type(error).__name__
            raise DownloadFailedError(f"the streaming process does not answer: {why}") from error

    async def _try(self, method: str, path: str, form: type[T], *, body: bytes | None) -> T:
        if not self._checked:
            await self._check_version()
        async with self._open().request(method, f"http://stream{path}", data=body) as answer:
            content = await answer.read()
            if answer.status == 200:  # noqa: PLR2004 - HTTP's own number
                return msgspec.json.decode(content, type=form)
        try:
            failure = msgspec.json.decode(content, type=Failure)
        except msgspec.DecodeError as error:
            raise DownloadFailedError(f"the streaming process failed: HTTP {answer.status}") from error
        raise InnkeeperError(failure.message, reason=failure.reason, retryable=failure.retryable)

    async def version(self) -> Version:
        """Return of which version the process is that runs, and which one it is.

        Raises:
            aiohttp.ClientConnectionError: none runs.
        """
        async with self._open().get("http://stream/v1/version") as answer:
            return msgspec.json.decode(await answer.read(), type=Version)

    async def _check_version(self) -> None:
        found = await self.version()
        if found.version != __version__ and self._process is StreamProcess.EXTERNAL:
            log.warning("stream_of_other_version", stream=found.version, agent=__version__)
        elif found.version != __version__:
            log.info("stream_replaced", old=found.version, new=__version__)
            await self._end(found.pid)
            raise ConnectionError
        self._checked = True

    async def _end(self, pid: int) -> None:
        """End a process of another version, and wait until it is gone."""
        os.kill(pid, signal.SIGTERM)
        async with asyncio.timeout(START_S):
            while await asyncio.to_thread(_lives, pid):
                await self._clock.sleep(_LOOK_S)

    async def _start(self) -> None:
        """Start the process unless it listens already; one that is not ours to start is waited for."""
        async with self._starting:
            if await self._listens():
                return
            if self._process is StreamProcess.EXTERNAL:
                await self._until_others_start_it()
                return
            log.info("stream_starting")
            with _alive_pipe() as (reading, writing):
                # setsid(1), of util-linux, makes it nobody's child: it outlives the agent.
                begun = await asyncio.create_subprocess_exec(
                    "setsid", "--fork", *self._command.words(), stdin=subprocess.DEVNULL, stdout=writing
                )
                os.close(writing)
                await begun.wait()
                await self._until_it_listens(reading)

    async def _until_others_start_it(self) -> None:
        try:
            async with asyncio.timeout(START_S):
                while not await self._listens():
                    await self._clock.sleep(_LOOK_S)
        except TimeoutError as error:
            message = (
                f"the streaming process did not come within {START_S:.0f} s; --streams external leaves it to others to "
                f"start `innkeeper stream --idle-s 0 --directory {self._files.directory}`"
            )
            raise DownloadFailedError(message) from error

    async def _until_it_listens(self, alive: int) -> None:
        try:
            async with asyncio.timeout(START_S):
                while not await self._listens():
                    if _is_at_end(alive):
                        raise DownloadFailedError(
                            "the streaming process ended at once; the agent's log says why"
                        )
                    await self._clock.sleep(_LOOK_S)
        except TimeoutError as error:
            message = f"the streaming process did not start within {START_S:.0f} s; the agent's log says why"
            raise DownloadFailedError(message) from error

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(str(self._files.control_socket))
        except OSError:
            return False
        writer.close()
        return True

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector: Any = aiohttp.UnixConnector(path=str(self._files.control_socket), force_close=True)
            timeout = aiohttp.ClientTimeout(total=ANSWER_S)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self._session


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


@contextmanager
def _alive_pipe() -> Iterator[tuple[int, int]]:
    """Yield a pipe whose end comes when the process that inherits the writing side ends."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    try:
        yield reading, writing
    finally:
        os.close(reading)


def _is_at_end(pipe: int) -> bool:
    try:
        return os.read(pipe, 1) == b""
    except BlockingIOError:
        return False
