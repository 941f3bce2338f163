"""A real file system that is too small: QEMU's tool and our own writes fail on it, say one reason, and heal."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from innkeeper.agent import disk_room
from innkeeper.agent.build.ports import Seed
from innkeeper.agent.imaging import seed
from innkeeper.agent.imaging.overlay import DiskTool, stream_backing
from innkeeper.domain.reasons import GuestReason
from innkeeper.errors import InnkeeperError

pytestmark = pytest.mark.lab  # mounting needs root

MINE = Seed(guest_id="g", hostname="web", ssh_keys=(), user_data=b"x" * 60_000, addresses=())


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for less than an empty disk or a seed."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def make_room(place: Path) -> None:
    """Let it be large."""
    subprocess.run(["mount", "-o", "remount,size=16m", place], check=True)


async def test_a_disk(small: Path) -> None:
    tool, disk = DiskTool(None), small / "disk.qcow2"
    over = stream_backing("image", small / "nbd.sock")
    with pytest.raises(InnkeeperError) as failed:
        await tool.create(disk, over, image_format="qcow2", size_bytes=1024**3)
    assert failed.value.reason == GuestReason.HOST_DISK_FULL
    assert not disk.exists()
    make_room(small)
    await tool.create(disk, over, image_format="qcow2", size_bytes=1024**3)
    assert disk.exists()


def test_a_seed(small: Path) -> None:
    with pytest.raises(disk_room.DiskFullError), disk_room.told():
        seed.write(MINE, small / "seed.iso")
    assert not (small / "seed.iso").exists()
    make_room(small)
    seed.write(MINE, small / "seed.iso")
    assert (small / "seed.iso").stat().st_size > 60_000
