"""The host's image store: whole images only, resumed downloads, one download for all, and disks over images."""

import asyncio
import errno
import hashlib
import json
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from innkeeper.agent.build.ports import Backing
from innkeeper.agent.imaging.overlay import DiskTool
from innkeeper.agent.imaging.partial import on_disk
from innkeeper.agent.imaging.store import HostImageStore
from innkeeper.agent.report import MAX_MESSAGE
from innkeeper.agent.unprivileged import tools_user
from innkeeper.clock import SystemClock
from innkeeper.domain.orders import OrderImage
from innkeeper.domain.reasons import GuestReason, Storage
from innkeeper.errors import InnkeeperError
from tests.kit.disks import qcow2_disk, raw_disk
from tests.kit.url_server import UrlServer
from tests.kit.waiting import eventually

MIB = 1024**2
RAW = raw_disk(3 * MIB)


@dataclass
class Site:
    """A store and the image server that it asks."""

    store: HostImageStore
    server: UrlServer
    origin: str
    directory: Path

    def image(
        self, content: bytes = RAW, *, image_format: str = "raw", virtual_size: int | None = None
    ) -> OrderImage:
        """Return what an order would say about such an image."""
        return OrderImage(
            namespace="images",
            name="debian",
            url=f"{self.origin}/v1/images/images/debian",
            digest=f"sha256:{hashlib.sha256(content).hexdigest()}",
            format=image_format,
            size=len(content),
            virtual_size=virtual_size or len(content),
        )

    async def fetch(self, image: OrderImage, guest_id: str = "guest-1") -> Path:
        """Fetch without looking at the progress."""
        found = await self.store.fetch(image, guest_id, lambda _done, _total: None, storage=Storage.COPY)
        return Path(found.name)

    def files(self) -> set[str]:
        """Return the names of the files in the cache."""
        return {each.name for each in self.directory.iterdir() if each.is_file()}

    def store_with(self, unused_bytes: int) -> HostImageStore:
        """Return a store, as a new process would make it."""
        return HostImageStore(
            self.directory,
            token=lambda: "secret-token",
            ca_file=None,
            clock=SystemClock(),
            disks=DiskTool(tools_user("nobody")),
            unused_bytes=unused_bytes,
        )


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    server = UrlServer(RAW)
    async with server.server() as running:
        origin = str(running.make_url("")).rstrip("/")
        made = Site(HostImageStore.__new__(HostImageStore), server, origin, tmp_path / "images")
        made.store = made.store_with(unused_bytes=0)
        yield made


def names_in(directory: Path) -> set[str]:
    return {each.name for each in directory.iterdir()}


async def failure(site: Site, image: OrderImage) -> InnkeeperError:
    with pytest.raises(InnkeeperError) as caught:
        await site.fetch(image)
    return caught.value


async def test_an_image_comes_whole_with_the_hosts_own_token(site: Site) -> None:
    seen: list[tuple[int, int]] = []
    found = await site.store.fetch(
        site.image(), "guest-1", lambda done, total: seen.append((done, total)), storage=Storage.STREAM
    )
    # An image without a manifest is copied whatever was asked for.
    path = next(each for each in site.directory.iterdir() if str(each) == found.name)
    assert path.read_bytes() == RAW
    assert site.server.asked == [("Bearer secret-token", "guest-1")]
    assert seen == sorted(seen)
    assert seen[-1] == (len(RAW), len(RAW))
    assert path.stat().st_mode & 0o777 == 0o644


async def test_a_broken_download_goes_on_where_it_broke(site: Site) -> None:
    site.server.cut_after = MIB
    error = await failure(site, site.image())
    assert (error.reason, error.retryable) == (GuestReason.IMAGE_DOWNLOAD_FAILED, True)
    site.store = site.store_with(unused_bytes=0)  # the agent was killed meanwhile
    assert (await site.fetch(site.image())).read_bytes() == RAW
    first, second = site.server.ranges
    assert first is None
    assert second is not None
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= MIB


async def test_nothing_is_kept_that_the_disk_did_not_take(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells such an error once: a second fsync(2) of the same file would say that all is well."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().suffix == ".partial":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        assert "Input/output error" in (await failure(site, site.image())).message
    assert site.files() == set()
    await site.fetch(site.image())
    assert site.server.ranges == [None, None], "from the beginning"


async def test_a_server_without_ranges_sends_all_again(site: Site) -> None:
    site.server.cut_after = MIB
    site.server.ranges_work = False
    await failure(site, site.image())
    assert (await site.fetch(site.image())).read_bytes() == RAW


async def test_bytes_left_by_another_version_are_found_by_the_digest(site: Site) -> None:
    image = site.image()
    site.directory.mkdir()
    (site.directory / f"{image.digest.removeprefix('sha256:')}.partial").write_bytes(b"x" * MIB)
    error = await failure(site, image)
    assert (error.reason, error.retryable) == (GuestReason.IMAGE_DIGEST_MISMATCH, False)
    assert site.files() == set()
    assert (await site.fetch(image)).read_bytes() == RAW


async def test_other_bytes_than_ordered_are_refused_and_dropped(site: Site) -> None:
    image = site.image()
    site.server.content = RAW[:-1] + b"x"
    assert (await failure(site, image)).reason == GuestReason.IMAGE_DIGEST_MISMATCH
    assert site.files() == set()


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_an_image_is_checked_by_the_algorithm_of_its_digest(site: Site, algorithm: str) -> None:
    right = hashlib.new(algorithm, RAW).hexdigest()
    image = msgspec.structs.replace(site.image(), digest=f"{algorithm}:{right}")
    site.server.content = wrong = RAW[:-1] + b"x"
    error = await failure(site, image)
    assert (error.reason, error.retryable) == (GuestReason.IMAGE_DIGEST_MISMATCH, False)
    reported = error.message[:MAX_MESSAGE]
    assert image.digest in reported
    assert f"{algorithm}:{hashlib.new(algorithm, wrong).hexdigest()}" in reported
    assert site.files() == set()

    site.server.content, site.server.cut_after = RAW, MIB
    await failure(site, image)  # the half of it on disk is hashed again
    assert (await site.fetch(image)).read_bytes() == RAW
    assert site.files() == {right}


async def test_an_image_with_two_digests_lies_there_under_each(site: Site) -> None:
    by_sha512 = msgspec.structs.replace(site.image(), digest=f"sha512:{hashlib.sha512(RAW).hexdigest()}")
    first, second = await asyncio.gather(
        site.fetch(site.image(), "guest-1"), site.fetch(by_sha512, "guest-2")
    )
    assert first != second
    assert first.read_bytes() == second.read_bytes() == RAW


async def test_more_bytes_than_ordered_are_not_taken(site: Site) -> None:
    site.server.endless = True
    assert (await failure(site, site.image())).reason == GuestReason.IMAGE_DOWNLOAD_FAILED
    assert all((site.directory / name).stat().st_size <= len(RAW) for name in site.files())


@pytest.mark.parametrize("status", [401, 404, 409, 503])
async def test_a_server_that_gives_no_url_is_asked_again_later(site: Site, status: int) -> None:
    site.server.urls_status = status
    error = await failure(site, site.image())
    assert (error.reason, error.retryable) == (GuestReason.IMAGE_DOWNLOAD_FAILED, True)
    assert str(status) in error.message
    assert "not for you" in error.message


async def test_a_url_that_is_over_is_asked_for_again(site: Site) -> None:
    site.server.blob_status = 403
    assert "403" in (await failure(site, site.image())).message
    site.server.blob_status = None
    assert (await site.fetch(site.image())).exists()


async def test_a_server_that_is_away_is_said(site: Site) -> None:
    image = msgspec.structs.replace(site.image(), url="http://127.0.0.1:1/v1/images/a/b")
    error = await failure(site, image)
    assert (error.reason, error.retryable) == (GuestReason.IMAGE_DOWNLOAD_FAILED, True)


async def test_many_guests_share_one_download(site: Site) -> None:
    paths = await asyncio.gather(*(site.fetch(site.image(), f"guest-{n}") for n in range(5)))
    assert len(set(paths)) == 1
    assert len(site.server.ranges) == 1


@pytest.mark.parametrize("unused_bytes", [0, 10 * MIB])
async def test_an_image_stays_while_one_guest_uses_it(site: Site, unused_bytes: int) -> None:
    path = await site.fetch(site.image(), "guest-1")
    await site.fetch(site.image(), "guest-2")
    store = site.store_with(unused_bytes)
    await store.release("guest-1")
    await store.release("guest-1")
    assert path.exists()
    await store.release("guest-2")
    assert path.exists() is bool(unused_bytes)


async def test_the_image_of_a_forgotten_guest_stays_until_somebody_removed_its_files(site: Site) -> None:
    path = await site.fetch(site.image(), "guest-1")
    aside = site.directory.parent / "forgotten" / "guest-1.1"
    aside.mkdir(parents=True)
    store = site.store_with(0)
    await store.set_aside("guest-1")
    await store.release("guest-1")
    await store.release("guest-2")
    assert path.exists()
    aside.rmdir()
    following = asyncio.create_task(store.follow(lambda: None))  # as an agent that starts does
    await eventually(lambda: not path.exists())
    following.cancel()
    assert not list((site.directory / "uses").iterdir())


async def test_no_image_goes_while_a_guests_note_is_missing(site: Site) -> None:
    """After a power loss a note may be gone: the guest's disk still needs its image."""
    path = await site.fetch(site.image(), "guest-1")
    disk = site.directory.parent / "guests" / "guest-1" / "disk.qcow2"
    disk.parent.mkdir(parents=True)
    disk.touch()
    (site.directory / "uses" / "guest-1").unlink()
    await site.fetch(site.image(), "guest-2")
    await site.store.release("guest-2")
    assert path.exists()


async def test_what_is_no_guest_keeps_no_image(site: Site) -> None:
    """The directory of guests may be a file system of its own, and people lay things down there."""
    path = await site.fetch(site.image(), "guest-1")
    guests = site.directory.parent / "guests"
    for name in ("lost+found", "guest-1.bak", "backup"):
        (guests / name).mkdir(parents=True)
    (guests / "lost+found" / "disk.qcow2").touch()
    (guests / "notes").touch()
    await site.store.release("guest-1")
    assert not path.exists()


async def test_no_image_goes_while_a_guests_disk_cannot_be_looked_for(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await site.fetch(site.image(), "guest-1")
    (site.directory.parent / "guests" / "guest-2").mkdir(parents=True)
    real = Path.lstat

    def lstat(self: Path) -> os.stat_result:
        if self.name == "disk.qcow2":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(self)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "lstat", lstat)
        await site.store.release("guest-1")
    assert path.exists()


async def test_of_the_unused_the_newest_stay(site: Site) -> None:
    old = await site.fetch(site.image(), "guest-1")
    site.server.content = newer = raw_disk(2 * MIB)
    new = await site.fetch(site.image(newer), "guest-2")
    store = site.store_with(unused_bytes=5 * MIB - 1)
    await store.release("guest-1")
    os.utime(old, (1, 1))
    assert old.exists()
    await store.release("guest-2")
    assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.parametrize(
    ("content", "image_format"),
    [
        pytest.param(
            qcow2_disk(virtual_size=MIB, backing_offset=512, backing_size=11), "qcow2", id="backing"
        ),
        pytest.param(qcow2_disk(virtual_size=MIB), "raw", id="declared is not real"),
        pytest.param(b"\0" * MIB, "raw", id="no image"),
        pytest.param(qcow2_disk(virtual_size=2 * MIB), "qcow2", id="other virtual size"),
    ],
)
async def test_an_unsafe_image_never_reaches_qemu(site: Site, content: bytes, image_format: str) -> None:
    site.server.content = content
    error = await failure(site, site.image(content, image_format=image_format, virtual_size=MIB))
    assert (error.reason, error.retryable) == (GuestReason.IMAGE_UNREADABLE, False)


@pytest.mark.parametrize("digest", ["sha256:../../etc/passwd", "sha512:" + "0" * 64, "md5:0", ""])
async def test_a_digest_is_never_a_path(site: Site, digest: str) -> None:
    image = msgspec.structs.replace(site.image(), digest=digest)
    assert (await failure(site, image)).reason == GuestReason.IMAGE_UNREADABLE


@pytest.mark.lab
async def test_an_overlay_names_its_base_and_is_never_made_again(site: Site, tmp_path: Path) -> None:
    image = site.image()
    base = await site.fetch(image)
    disk = tmp_path / "disk.qcow2"
    await site.store.prepare_overlay(Backing(str(base)), disk, image=image, size_bytes=8 * MIB)
    described = json.loads(
        subprocess.run(  # noqa: ASYNC221 - a test may wait
            ["qemu-img", "info", "--output=json", str(disk)], check=True, capture_output=True
        ).stdout
    )
    assert described["virtual-size"] == 8 * MIB
    assert described["full-backing-filename"] == str(base)
    assert described["backing-filename-format"] == "raw"
    disk.write_bytes(b"the guest's own")
    await site.store.prepare_overlay(Backing(str(base)), disk, image=image, size_bytes=8 * MIB)
    assert disk.read_bytes() == b"the guest's own"
    assert names_in(tmp_path) == {"images", "disk.qcow2"}


@pytest.mark.skipif(os.geteuid() != 0, reason="who is not root lends nobody a disk")
async def test_a_disk_that_a_killed_agent_lent_is_taken_back_before_a_start(
    site: Site, tmp_path: Path
) -> None:
    nobody, disk = tools_user("nobody"), tmp_path / "disk.qcow2"
    assert nobody is not None
    disk.write_bytes(b"a guest's disk over no stream")
    os.chown(disk, nobody.uid, nobody.gid)
    await site.store.before_start(site.image(), "guest-1", disk)
    assert disk.stat().st_uid == 0


async def test_a_host_without_qemu_img_says_so(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = await site.fetch(site.image())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InnkeeperError, match="install the package qemu-utils"):
        await site.store.prepare_overlay(
            Backing(str(base)), tmp_path / "d", image=site.image(), size_bytes=MIB
        )


async def test_a_full_disk_has_a_reason_of_its_own() -> None:
    """By a device that is always full: the kernel's own refusal, not a made-up one."""
    with pytest.raises(InnkeeperError) as failed:
        await on_disk(Path("/dev/full").write_bytes, b"x")
    assert failed.value.reason == GuestReason.HOST_DISK_FULL
    assert failed.value.retryable
