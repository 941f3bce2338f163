"""What a guest's disk lies over: read from its header by our own code, made and changed by QEMU's tool.

The header is QEMU's and this agent's: a guest writes into its disk, never into the container. The format is qcow2
(https://gitlab.com/qemu-project/qemu/-/blob/master/docs/interop/qcow2.txt).
"""

import asyncio
import functools
import struct
from pathlib import Path

from innkeeper.agent import programs
from innkeeper.agent.build.ports import Backing
from innkeeper.agent.to_its_end import to_its_end
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError

QEMU_IMG = "qemu-img"
QEMU_IMG_DEADLINE_S = 60.0
# However an image is made, the tool that looks at it takes so much and no more (prlimit(1), of util-linux).
LIMITS = ("prlimit", "--cpu=60", f"--as={2 * 1024**3}", "--core=0", "--nofile=64")
STREAM_PREFIX = "nbd+unix://"
_HEAD = struct.Struct(">4sIQI")
_MAX_NAME = 1023  # the format's own limit


def stream_backing(name: str, socket: Path) -> Backing:
    """Return the export of an image as QEMU names it."""
    return Backing(f"{STREAM_PREFIX}/{name}?socket={socket}", is_stream=True)


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


async def create(disk: Path, base: Backing, *, image_format: str, size_bytes: int) -> None:
    """Make a disk over an image. Its size is given, so nothing of the image is looked at."""
    formats = ["-u", "-f", "qcow2", "-F", image_format, "-b", base.name]
    partial = disk.with_suffix(".partial")
    await to_its_end(_qemu_img("create", "-q", *formats, str(partial), str(size_bytes)))
    await asyncio.to_thread(partial.replace, disk)


async def put_onto(disk: Path, base: Backing, *, image_format: str) -> None:
    """Say that a disk lies over another place of the same bytes; QEMU's lock keeps it from a disk in use."""
    words = ["rebase", "-q", "-u", "-f", "qcow2", "-F", image_format, "-b", base.name, str(disk)]
    await to_its_end(_qemu_img(*words))


async def _qemu_img(*words: str) -> None:
    await programs.run(
        QEMU_IMG,
        words,
        package="qemu-utils",
        failure=functools.partial(InnkeeperError, reason=GuestReason.DRIVER_FAILED),
        deadline_s=QEMU_IMG_DEADLINE_S,
        under=LIMITS,
    )
