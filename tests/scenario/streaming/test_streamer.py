"""The streaming process itself: started when it is needed, killed under its readers, started again, and ended."""

import asyncio
import base64
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from innkeeper.agent.imaging.files import ImageFiles, stream_name
from innkeeper.agent.imaging.partial import DownloadFailedError
from innkeeper.agent.streaming.messages import Mode, Version
from innkeeper.agent.streaming.settings import StreamProcess
from innkeeper.agent.streaming.streamer import StreamCommand, Streamer
from innkeeper.clock import SystemClock
from innkeeper.domain import orders
from innkeeper.domain.orders import OrderImage
from tests.kit.agent_orders import HOST, SIGNER
from tests.kit.streams import CHUNK, GUEST, a_disk, image_of, manifest_of, read
from tests.kit.url_server import UrlServer
from tests.kit.waiting import eventually

DISK = a_disk()


@dataclass
class Host:
    """A host's streaming process, as its agent has it."""

    streamer: Streamer
    server: UrlServer
    image: OrderImage
    files: ImageFiles

    @property
    def name(self) -> str:
        """The image's name."""
        return stream_name(self.image)

    def pid(self) -> int | None:
        """Return the process that holds the lock."""
        wanted = str(self.files.directory)
        for each in Path("/proc").iterdir():
            if each.name.isdigit():
                try:
                    words = (each / "cmdline").read_bytes().decode().split("\0")
                except OSError:
                    continue
                if "stream" in words and wanted in words:
                    return int(each.name)
        return None


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    (tmp_path / "token").write_text("secret-token")
    public = SIGNER.public_key
    join = {
        "host": HOST,
        "server": "http://127.0.0.1:1",
        "tokenFile": "token",
        "orderKeys": {orders.key_id(public): base64.b64encode(public).decode()},
    }
    (tmp_path / "join.json").write_text(json.dumps(join))
    server = UrlServer(DISK)
    async with server.server() as running:
        image = image_of(DISK, str(running.make_url("")).rstrip("/"))
        server.manifest = manifest_of(DISK, digest=image.digest)
        files = ImageFiles(tmp_path / "images")
        files.make()
        command = StreamCommand(directory=files.directory, join_file=tmp_path / "join.json")
        made = Host(Streamer(command, clock=SystemClock()), server, image, files)
        try:
            yield made
        finally:
            await made.streamer.close()
            if (pid := made.pid()) is not None:
                os.kill(pid, signal.SIGKILL)
                await eventually(lambda: made.pid() is None)


async def test_it_starts_when_a_guest_needs_it_and_shows_the_hosts_own_token(host: Host) -> None:
    status = await host.streamer.serve(host.image, GUEST)
    assert status.mode is Mode.STREAMING
    assert host.server.asked[0] == ("Bearer secret-token", GUEST)
    assert await read(host.files, host.name, 11 * CHUNK, CHUNK) == DISK[11 * CHUNK : 12 * CHUNK]
    assert host.files.control_socket.stat().st_mode & 0o777 == 0o600


async def test_killed_it_is_started_again_without_being_asked_and_serves_what_it_served(host: Host) -> None:
    await host.streamer.serve(host.image, GUEST)
    news = asyncio.Event()
    following = asyncio.create_task(host.streamer.follow(news.set))
    killed = host.pid()
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    await eventually(lambda: host.pid() not in {None, killed}, deadline_s=20)

    async def is_read() -> bool:
        return await read(host.files, host.name, 12 * CHUNK, CHUNK) == DISK[12 * CHUNK : 13 * CHUNK]

    await eventually(is_read, deadline_s=20)
    following.cancel()


async def test_it_outlives_its_agent_and_the_next_one_finds_it(host: Host) -> None:
    await host.streamer.serve(host.image, GUEST)
    before = host.pid()
    await host.streamer.close()
    command = StreamCommand(directory=host.files.directory)
    host.streamer = Streamer(command, clock=SystemClock())
    await host.streamer.serve(host.image, "guest-2")
    assert host.pid() == before


async def test_one_of_another_version_is_replaced(host: Host) -> None:
    command = StreamCommand(
        directory=host.files.directory, join_file=host.files.directory.parent / "join.json"
    )
    old = await asyncio.create_subprocess_exec(*old_words(command))
    assert await old.wait() == 0
    await eventually(host.files.control_socket.exists)
    before = host.pid()
    assert before is not None
    await host.streamer.serve(host.image, GUEST)
    assert host.pid() not in {None, before}


def old_words(command: StreamCommand, *more: str) -> list[str]:
    """Return what starts the streaming process of an older version."""
    python, _, _, *options = command.words()
    program = "import innkeeper; innkeeper.__version__ = '0.0.1'; from innkeeper.cli.main import app; app()"
    return ["setsid", "--fork", python, "-c", program, *options, *more]


async def test_one_that_others_start_is_waited_for_and_taken_as_it_is(host: Host) -> None:
    join_file = host.files.directory.parent / "join.json"
    command = StreamCommand(directory=host.files.directory, join_file=join_file)
    host.streamer = Streamer(command, clock=SystemClock(), process=StreamProcess.EXTERNAL)
    serving = asyncio.create_task(host.streamer.serve(host.image, GUEST))
    others = await asyncio.create_subprocess_exec(*old_words(command, "--idle-s", "0"))
    assert await others.wait() == 0
    assert (await serving).mode is Mode.STREAMING
    assert (await host.streamer.version()).version == "0.0.1"


async def test_one_that_others_do_not_start_is_missed_with_a_word_of_what_to_do(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("innkeeper.agent.streaming.streamer.START_S", 0.2)
    command = StreamCommand(directory=host.files.directory)
    host.streamer = Streamer(command, clock=SystemClock(), process=StreamProcess.EXTERNAL)
    with pytest.raises(DownloadFailedError, match="innkeeper stream --idle-s 0"):
        await host.streamer.serve(host.image, GUEST)
    assert host.pid() is None


async def answers(control: Path) -> bool:
    """Tell whether a process listens there: the file of one that ended may lie about."""
    try:
        _, writer = await asyncio.open_unix_connection(control)
    except OSError:
        return False
    writer.close()
    return True


async def test_without_images_it_ends_unless_it_is_told_to_stay(host: Host) -> None:
    join_file = host.files.directory.parent / "join.json"
    words = StreamCommand(directory=host.files.directory, join_file=join_file).words()
    ends = await asyncio.create_subprocess_exec(*words, "--idle-s", "0.1")
    assert await asyncio.wait_for(ends.wait(), 60) == 0
    stays = await asyncio.create_subprocess_exec(*words, "--idle-s", "0")
    await eventually(lambda: answers(host.files.control_socket), deadline_s=60)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(stays.wait(), 3)
    stays.terminate()
    assert await stays.wait() == 0


async def test_a_copy_is_waited_for(host: Host) -> None:
    seen: list[int] = []
    await host.streamer.serve(host.image, GUEST, whole_soon=True)
    await host.streamer.until_whole(host.name, lambda done, _total: seen.append(done))
    assert host.files.whole_of(host.name).read_bytes() == DISK
    assert seen == sorted(seen)
    await host.streamer.leave(host.name, GUEST)
    assert not host.files.record(host.name).exists()


async def test_a_copy_of_which_nothing_comes_is_not_waited_for_for_ever(host: Host) -> None:
    """Who waits for it holds one of the few places of builds, which a guest of another image needs."""
    command = StreamCommand(
        directory=host.files.directory, join_file=host.files.directory.parent / "join.json"
    )
    await host.streamer.close()
    host.streamer = Streamer(command, clock=SystemClock(), stuck_s=0.5)
    await host.streamer.serve(host.image, GUEST)
    host.server.blob_status = 503
    with pytest.raises(DownloadFailedError):
        await host.streamer.until_whole(host.name, lambda _done, _total: None)
    host.server.blob_status = None
    await host.streamer.close()
    host.streamer = Streamer(command, clock=SystemClock())
    await host.streamer.serve(host.image, GUEST, whole_soon=True)  # as the next try of the build does
    await host.streamer.until_whole(host.name, lambda _done, _total: None)
    assert host.files.whole_of(host.name).read_bytes() == DISK


def test_the_version_is_told_in_a_form_that_stays() -> None:
    """The next version's agent asks this one's process."""
    assert msgspec.json.encode(Version(version="1.2.3", pid=7)) == b'{"version":"1.2.3","pid":7}'
