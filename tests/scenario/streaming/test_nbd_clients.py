"""Who may read an image on its way, from when on, and who is sent away: raw words of the protocol, and QEMU's own tool.

The protocol is https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md.
"""

import asyncio
import errno
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from innkeeper.agent.imaging.overlay import stream_backing
from innkeeper.agent.streaming.nbd.server import NbdServer
from innkeeper.agent.streaming.socket_access import QemuGroupError, SocketAccess, qemu_access
from tests.kit.streams import CHUNK, StreamSite, a_disk, stream_site
from tests.kit.waiting import eventually

DISK = a_disk()
PATIENT_S = 60
QEMU_GROUP, OTHER = 64_055, 12_345
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="who is not root becomes nobody else")
_OPTION = 0x49484156454F5054
_GO = 7


@pytest.fixture
def directory() -> Iterator[Path]:
    """Yield a directory that everybody passes through: a test's own one is its user's alone."""
    made = Path(tempfile.mkdtemp(prefix="innkeeper-nbd-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


class Client:
    """A client that says what a test has it say."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def agree(self, name: str) -> bool:
        """Ask for an export; tell whether it is given."""
        self.writer.write(struct.pack(">I", 3))
        data = struct.pack(">I", len(name)) + name.encode() + struct.pack(">H", 0)
        self.writer.write(struct.pack(">QII", _OPTION, _GO, len(data)) + data)
        while True:
            _, _, kind, length = struct.unpack(">QIII", await self.reader.readexactly(20))
            await self.reader.readexactly(length)
            if kind == 1 or kind & 1 << 31:
                return kind == 1

    async def ask(self, offset: int, length: int) -> bytes | int:
        """Read as a client does that knows no structured replies; return the bytes, or the error's number."""
        self.writer.write(struct.pack(">IHHQQI", 0x25609513, 0, 0, 1, offset, length))
        _, error, _ = struct.unpack(">IIQ", await self.reader.readexactly(16))
        return error or await self.reader.readexactly(length)


@asynccontextmanager
async def client(socket: Path) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_unix_connection(str(socket))
    await reader.readexactly(18)  # the greeting
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def server(site: StreamSite, **options: object) -> AsyncIterator[Path]:
    """Yield the socket of a server with options of its own."""
    socket = site.files.directory / "other.sock"
    serving = asyncio.create_task(
        NbdServer(socket, site.streams, **{"access": SocketAccess(), **options}).run()  # type: ignore[arg-type] - the server's own
    )

    async def answers() -> bool:
        with suppress(OSError):
            async with client(socket):
                return True
        return False

    await eventually(answers)
    try:
        yield socket
    finally:
        serving.cancel()
        await asyncio.wait((serving,))


@asynccontextmanager
async def in_time(socket: Path, name: str) -> AsyncIterator[Client]:
    """Yield a client that agreed in time: on a slow machine not the first that tries."""
    async with AsyncExitStack() as tried:

        async def agreed() -> Client | None:
            with suppress(OSError, asyncio.IncompleteReadError):
                one = await tried.enter_async_context(client(socket))
                return one if await one.agree(name) else None
            return None

        yield await eventually(agreed, deadline_s=PATIENT_S)


async def is_left(one: Client) -> bool:
    """Wait until the server hangs up; what was sent too late for it to read makes that a reset."""
    try:
        return await asyncio.wait_for(one.reader.read(), PATIENT_S) == b""
    except ConnectionError:
        return True


async def test_who_says_nothing_is_sent_away_and_who_agreed_may_be_silent(tmp_path: Path) -> None:
    async with stream_site(tmp_path / "images", DISK) as site:
        await site.serve()
        async with (
            server(site, negotiation_s=0.3) as socket,
            in_time(socket, site.name) as agreed,
            # They came later, so their time is over after that of who agreed.
            client(socket) as silent,
            client(socket) as endless,
        ):
            endless.writer.write(
                struct.pack(">I", 3) + struct.pack(">QII", _OPTION, _GO, 900) + b"half of it"
            )
            assert await is_left(silent)
            assert await is_left(endless)
            assert await agreed.ask(CHUNK, 512) == DISK[CHUNK : CHUNK + 512]


async def test_nobody_reads_before_the_head_was_checked(tmp_path: Path) -> None:
    """A client may know the name: the agent has not been told yet that the guest may read."""
    async with stream_site(tmp_path / "images", DISK) as site:
        site.server.blob_status = 503
        asking = asyncio.create_task(site.serve())
        await eventually(lambda: site.streams.statuses() and site.status().message)
        async with client(site.files.nbd_socket) as early:
            assert not await early.agree(site.name)
        site.server.blob_status = None
        await asking
        async with client(site.files.nbd_socket) as guest:
            assert await guest.agree(site.name)


@pytest.mark.parametrize("is_waited_for", [False, True], ids=["at hand", "after a chunk came"])
@pytest.mark.parametrize("gives", [errno.EIO, 100], ids=["an error", "too few bytes"])
async def test_what_the_hosts_disk_does_not_give_is_an_error_and_never_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_waited_for: bool, gives: int
) -> None:
    """QEMU waits for an answer for ever; after an error its machine is paused, and reads again."""
    real = os.preadv

    def preadv(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        if gives == errno.EIO:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(descriptor, [buffers[0][:gives]], offset)

    async with stream_site(tmp_path / "images", DISK) as site:
        await site.serve()
        async with client(site.files.nbd_socket) as guest:
            assert await guest.agree(site.name)
            await guest.ask(12 * CHUNK, 512)
            offset, length = 13 * CHUNK, 2 * CHUNK if is_waited_for else 512
            with monkeypatch.context() as patched:
                patched.setattr(os, "preadv", preadv)
                assert await asyncio.wait_for(guest.ask(offset, length), PATIENT_S) == errno.EIO
            assert await guest.ask(offset, length) == DISK[offset : offset + length], "the client was kept"


async def test_an_image_that_is_none_is_never_read(tmp_path: Path) -> None:
    content = b"QFI\xfb" + DISK[4:]
    async with stream_site(tmp_path / "images", content) as site:
        with pytest.raises(Exception, match="qcow2"):
            await site.serve()
        async with client(site.files.nbd_socket) as early:
            assert not await early.agree(site.name)


@needs_root
async def test_qemus_group_reads_images_and_other_users_do_not(directory: Path) -> None:
    async with stream_site(directory / "images", DISK) as site:
        await site.serve()
        async with server(site, access=SocketAccess(QEMU_GROUP)) as socket:
            assert await reads(site, socket, user=OTHER, group=QEMU_GROUP)
            assert not await reads(site, socket, user=OTHER, group=OTHER)
        async with server(site, access=SocketAccess()) as socket:
            assert not await reads(site, socket, user=OTHER, group=QEMU_GROUP)


async def reads(site: StreamSite, socket: Path, *, user: int, group: int) -> bool:
    """Tell whether QEMU's tool gets at the image as that user."""
    become = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
    words = ["qemu-img", "info", "-f", "raw", stream_backing(site.name, socket).name]
    process = await asyncio.create_subprocess_exec(
        *become, *words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return await process.wait() == 0


@needs_root
def test_the_usual_group_is_found_and_a_wrong_one_is_told() -> None:
    assert qemu_access(None, usual=("no-such-group", "daemon")) == qemu_access("daemon")
    assert qemu_access(None, usual=("no-such-group",)) == SocketAccess(), "its own user alone"
    with pytest.raises(QemuGroupError, match="there is no group 'no-such-group'"):
        qemu_access("no-such-group")
