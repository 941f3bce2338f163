"""What a guest's disk lies over: read from its header by our own code, made and changed by QEMU's tool.

The header is QEMU's and this agent's: a guest writes into its disk, never into the container. The format is qcow2
(https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.txt).
"""

import asyncio
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from innkeeper.agent import disk_room, programs
from innkeeper.agent.build.ports import Backing
from innkeeper.agent.unprivileged import ToolsUser, start_as
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError
from innkeeper.to_its_end import to_its_end

QEMU_IMG = "qemu-img"
QEMU_IMG_DEADLINE_S = 60.0
# However an image is made, the tool that looks at it takes so much and no more (prlimit(1), of util-linux).
LIMITS = ("prlimit", "--cpu=60", f"--as={2 * 1024**3}", "--core=0", "--nofile=64")
STREAM_PREFIX = "nbd+unix://"
_HEAD = struct.Struct(">4sIQI")
_MAX_NAME = 1023  # the format's own limit


def stream_backing(name: str, socket: Path) -> Backing:
    """Return the export of an image as QEMU names it."""
    return Backing(f"{STREAM_PREFIX}/{name}?socket={socket}")


def backing_of(disk: Path) -> str:
    """Return what a disk lies over; empty where it lies over nothing. Blocking.

    Raises:
        OSError: the disk cannot be read.
    """
    with disk.open("rb") as file:
        head = file.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return ""
        magic, _version, offset, length = _HEAD.unpack(head)
        if magic != b"QFI\xfb" or not offset or length > _MAX_NAME:
            return ""
        file.seek(offset)
        return file.read(length).decode(errors="replace")


def stream_of(disk: Path) -> str | None:
    """Return the name of the stream that a disk lies over, or None where it lies over none. Blocking."""
    try:
        backing = backing_of(disk)
    except FileNotFoundError:
        return None
    if not backing.startswith(STREAM_PREFIX):
        return None
    return backing.removeprefix(STREAM_PREFIX).removeprefix("/").partition("?")[0]


class DiskTool:
    """QEMU's tool, as a user without rights, on one file at a time.

    The file belongs to that user while the tool runs, and is passed as a descriptor: the tool reaches it whatever the
    directories above allow, and nothing beside it. After a kill it still belongs to the user: a disk in the making is
    made anew, and any other one is taken back by `take_back` or with the next change.
    """

    def __init__(self, user: ToolsUser | None) -> None:
        self._user = user

    async def create(self, disk: Path, base: Backing, *, image_format: str, size_bytes: int) -> None:
        """Make a disk over an image. Its size is given, so nothing of the image is looked at."""
        await to_its_end(self._create(disk, _over(base, image_format), str(size_bytes)))

    async def put_onto(self, disk: Path, base: Backing, *, image_format: str) -> None:
        """Say that a disk lies over another place of the same bytes; QEMU's lock keeps it from a disk in use."""
        await to_its_end(self._put_onto(disk, _over(base, image_format)))

    def take_back(self, disk: Path) -> None:
        """Take back a disk that an agent lent and did not live to take back. Blocking."""
        if self._user is not None and disk.exists() and disk.stat().st_uid == self._user.uid:
            os.chown(disk, os.geteuid(), os.getegid())

    async def _create(self, disk: Path, over: Sequence[str], size: str) -> None:
        partial = disk.with_suffix(".partial")
        file = await asyncio.to_thread(_new_file, partial)
        try:
            await self._run(file, "create", "-q", "-u", *over, f"/dev/fd/{file}", size)
        finally:
            os.close(file)
        await asyncio.to_thread(partial.replace, disk)

    async def _put_onto(self, disk: Path, over: Sequence[str]) -> None:
        file = await asyncio.to_thread(os.open, disk, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            await self._run(file, "rebase", "-q", "-u", *over, f"/dev/fd/{file}")
        finally:
            os.close(file)

    async def _run(self, file: int, *words: str) -> None:
        owner = await asyncio.to_thread(self._lend, file)
        try:
            await programs.run(
                QEMU_IMG,
                words,
                package="qemu-utils",
                failure=_failure,
                deadline_s=QEMU_IMG_DEADLINE_S,
                under=(*start_as(self._user), *LIMITS),
                files=(file,),
            )
        finally:
            await asyncio.to_thread(self._give_back, file, owner)

    def _lend(self, file: int) -> tuple[int, int]:
        """Give a file to the tool's user; return whose it is."""
        found = os.fstat(file)
        if self._user is None:
            return found.st_uid, found.st_gid
        os.fchown(file, self._user.uid, self._user.gid)
        if found.st_uid == self._user.uid:  # lent by an agent that was killed then
            return os.geteuid(), os.getegid()
        return found.st_uid, found.st_gid

    def _give_back(self, file: int, owner: tuple[int, int]) -> None:
        # Somebody who gave it to a third one meanwhile, as libvirt does at a start by hand, was right.
        if self._user is not None and os.fstat(file).st_uid == self._user.uid:
            os.fchown(file, *owner)


def _failure(message: str) -> InnkeeperError:
    reason = GuestReason.HOST_DISK_FULL if disk_room.SAID in message else GuestReason.DRIVER_FAILED
    return InnkeeperError(message, reason=reason)


def _over(base: Backing, image_format: str) -> Sequence[str]:
    return ("-f", "qcow2", "-F", image_format, "-b", base.name)


def _new_file(path: Path) -> int:
    """Return a file that nobody else has, not even the tool of an agent that was killed, and nobody else reads.

    libvirt gives it to QEMU's user while the guest runs.
    """
    path.unlink(missing_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
