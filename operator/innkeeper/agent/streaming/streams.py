"""All images that a host serves: added and dropped at the agent's word, and found again after a kill.

What is served is written down before anybody is told that it is.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import msgspec
import structlog

from innkeeper.agent.build.ports import TokenSource
from innkeeper.agent.imaging.comparisons import WholeUnreadableError
from innkeeper.agent.imaging.files import ImageFiles, stream_name
from innkeeper.agent.imaging.image_server import ImageServerSession
from innkeeper.agent.imaging.partial import DownloadFailedError, on_disk
from innkeeper.agent.streaming.messages import ImageStatus, Record, Serve
from innkeeper.agent.streaming.nbd.export import ReadFailedError
from innkeeper.agent.streaming.ordered_manifest import ordered_manifest
from innkeeper.agent.streaming.origin import ImageServerOrigin
from innkeeper.agent.streaming.stream import Stream, Surroundings
from innkeeper.domain.orders import OrderImage
from innkeeper.errors import InnkeeperError

log = structlog.get_logger(__name__)

OPEN_S = 45.0  # how long the agent waits until guests may read
RETRY_S = 2.0


@dataclass
class _Slot:
    """One image: its stream once that is open, and whoever works on it."""

    record: Record
    stream: Stream | None = None
    working: asyncio.Lock = field(default_factory=asyncio.Lock)


class Streams:
    """Images by name: the exports of the NBD server."""

    def __init__(
        self,
        session: ImageServerSession,
        around: Surroundings,
        *,
        token: TokenSource,
        clients: Callable[[str], int] = lambda _: 0,
    ) -> None:
        self._session = session
        self._around = around
        self._files: ImageFiles = around.files
        self._token = token
        self._slots: dict[str, _Slot] = {}
        self._asked = 0  # how many wait in `serve`, some of them for an image that has no slot yet
        self._reopening: set[asyncio.Task[None]] = set()
        self.clients = clients
        self.hang_up: Callable[[str], Awaitable[None]] = _nobody_reads

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def is_needed(self) -> bool:
        """Tell whether an image is served, asked for, or compared for a guest that asks again later."""
        return bool(self._slots) or self._asked > 0 or self._around.comparisons.is_busy

    def find(self, name: str) -> Stream | None:
        """Return an image that may be read: one whose head was checked."""
        slot = self._slots.get(name)
        return slot.stream if slot and slot.stream and slot.stream.is_checked else None

    async def load(self) -> None:
        """Go on with what an earlier process served."""
        for path in sorted(self._files.records.glob("*.json")):
            try:
                record = msgspec.json.decode(await asyncio.to_thread(path.read_bytes), type=Record)
            except (msgspec.DecodeError, OSError) as error:
                log.warning("record_unreadable", file=path.name, error=str(error))
                continue
            slot = self._slots[path.stem] = _Slot(record)
            task = asyncio.create_task(self._reopen(slot))
            self._reopening.add(task)
            task.add_done_callback(self._reopening.discard)

    async def serve(self, wanted: Serve) -> ImageStatus:
        """Have an image read by a guest; returns when it can be.

        Raises:
            InnkeeperError: it cannot, and the reason is one of a guest's.
        """
        self._asked += 1
        try:
            return await self._asked_to_serve(wanted)
        finally:
            self._asked -= 1

    async def _asked_to_serve(self, wanted: Serve) -> ImageStatus:
        name = stream_name(wanted.image)
        until = asyncio.get_running_loop().time() + OPEN_S
        while True:
            slot = self._slots.get(name)
            is_open = slot is not None and slot.stream is not None
            is_equal = not is_open and await self._is_equal(wanted.image, (wanted.guest_id,), until=until)
            slot = self._slots.setdefault(name, _Slot(Record(image=wanted.image, guests=())))
            async with slot.working:
                if self._slots.get(name) is slot:  # else the last guest left while this one waited
                    return await self._serve(slot, wanted, is_equal=is_equal, until=until)

    async def _serve(self, slot: _Slot, wanted: Serve, *, is_equal: bool, until: float) -> ImageStatus:
        old = slot.record
        new = Record(
            image=wanted.image,
            guests=tuple(dict.fromkeys((*old.guests, wanted.guest_id))),
            whole_soon=old.whole_soon or wanted.whole_soon,
        )
        if new != old:
            await on_disk(self._write, new)
            slot.record = new
        try:
            async with asyncio.timeout_at(until):
                stream = await self._open(slot, has_disk=wanted.has_disk, is_equal=is_equal)
        except TimeoutError as error:
            raise DownloadFailedError(self._what_is_slow(slot)) from error
        return self._status(stream)

    async def _is_equal(self, image: OrderImage, guests: tuple[str, ...], *, until: float) -> bool:
        """Tell whether a comparison, where one is due, finds that the whole image is the ordered one.

        Who waits for it keeps nobody from leaving. `until` is a time of the event loop.
        """
        name, files = stream_name(image), self._files
        is_here = await asyncio.to_thread(files.whole_of(name).exists)
        if not is_here or await asyncio.to_thread(files.is_whole, name):
            return False
        try:
            async with asyncio.timeout_at(until):
                origin = ImageServerOrigin(self._session, image, token=self._token, guests=lambda: guests)
                chunks = await ordered_manifest(image, origin, files)
                return await self._around.comparisons.is_whole(name, chunks)
        except WholeUnreadableError:  # it was logged, and the stream has a file of its own
            return False
        except TimeoutError as error:
            raise DownloadFailedError(
                "the image that lies on this host is being compared with the image's manifest"
            ) from error

    async def leave(self, name: str, guest_id: str) -> None:
        """A guest needs an image no more, as a stream at least; absence is success."""
        slot = self._slots.get(name)
        if slot is None:
            return
        async with slot.working:
            if self._slots.get(name) is not slot:
                return
            guests = tuple(each for each in slot.record.guests if each != guest_id)
            if guests:
                new = msgspec.structs.replace(slot.record, guests=guests)
                await on_disk(self._write, new)
                slot.record = new
                if slot.stream is not None:
                    slot.stream.keep(new)
                return
            await asyncio.to_thread(self._files.record(name).unlink, missing_ok=True)
            self._slots.pop(name, None)
            if slot.stream is not None:
                await self.hang_up(name)
                await slot.stream.close()
                log.info("stream_ended", image=name)
        self._around.changed()

    def statuses(self) -> list[ImageStatus]:
        """Return how all images stand."""
        return [
            self._status(slot.stream) if slot.stream else ImageStatus.opening(name, slot.record.guests)
            for name, slot in self._slots.items()
        ]

    async def close(self) -> None:
        """End all; the next process goes on."""
        for task in self._reopening:
            task.cancel()
        await self._around.comparisons.close()
        for slot in self._slots.values():
            if slot.stream is not None:
                await slot.stream.close()

    async def _open(self, slot: _Slot, *, has_disk: bool, is_equal: bool) -> Stream:
        if slot.stream is None:
            origin = ImageServerOrigin(
                self._session, slot.record.image, token=self._token, guests=lambda: slot.record.guests
            )
            slot.stream = await Stream.open(slot.record, origin, self._around, is_equal=is_equal)
        slot.stream.keep(slot.record)
        await slot.stream.begin(has_disk=has_disk)
        return slot.stream

    async def _reopen(self, slot: _Slot) -> None:
        """Open again what was open once; guests that read it are waiting."""
        while True:
            try:
                until = asyncio.get_running_loop().time() + OPEN_S
                is_equal = await self._is_equal(slot.record.image, slot.record.guests, until=until)
                async with slot.working:
                    if self._slots.get(stream_name(slot.record.image)) is not slot:
                        return
                    # What its guests read from now on is no boot.
                    slot.record = msgspec.structs.replace(slot.record, whole_soon=True)
                    async with asyncio.timeout(OPEN_S):
                        await self._open(slot, has_disk=True, is_equal=is_equal)
            except (InnkeeperError, ReadFailedError, TimeoutError) as error:
                log.warning("stream_not_reopened", error=str(error) or "nothing came in time")
                if isinstance(error, InnkeeperError) and not error.retryable:
                    return
            else:
                return
            await self._around.clock.sleep(RETRY_S)

    def _what_is_slow(self, slot: _Slot) -> str:
        away = slot.stream.status(clients=0).message if slot.stream else ""
        return away or "the image server is slow: the image has not begun"

    def _write(self, record: Record) -> None:
        self._files.write(self._files.record(stream_name(record.image)), msgspec.json.encode(record))

    def _status(self, stream: Stream) -> ImageStatus:
        return stream.status(clients=self.clients(stream.name))


async def _nobody_reads(_name: str) -> None:
    """Hang up on nobody."""
