"""QEMU's own tool as the agent runs it: as whom, within which limits, and what is left of a run that was killed.

A program of that name on the PATH writes down who it is and what it can reach, and becomes the real tool.
"""

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from innkeeper.agent.build.ports import Backing
from innkeeper.agent.imaging import overlay
from innkeeper.agent.imaging.overlay import DiskTool
from innkeeper.agent.unprivileged import ToolsUserError, tools_user
from innkeeper.errors import InnkeeperError
from tests.kit.waiting import eventually

MIB = 1024**2
QEMU = 64_055  # libvirt gives disks to a user of QEMU's
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="who is not root becomes nobody else")


@dataclass(frozen=True)
class Spy:
    """The program in the tool's place, and what it wrote down."""

    directory: Path
    secret: Path
    guest: Path

    @property
    def disk(self) -> Path:
        """The guest's disk."""
        return self.guest / "disk.qcow2"

    def become(self, ending: str) -> None:
        """Let the program end in that way."""
        program = self.directory / "qemu-img"
        said = self.directory / "said"
        program.write_text(
            f"#!/bin/sh\nexec 3>>{said}\nid -u >&3; id -G >&3; cat /proc/self/status /proc/self/limits >&3\n"
            f"cat {self.secret} >&3 2>&1\ntouch {self.guest}/planted >&3 2>&1\nexec 3>&-\n{ending}\n"
        )
        program.chmod(0o755)

    def said(self) -> str:
        """Return what it wrote down."""
        return (self.directory / "said").read_text()


@pytest.fixture
def spy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spy]:
    """Make a program that everybody may run: a test's own directory is root's alone."""
    real = shutil.which("qemu-img")
    directory = Path(tempfile.mkdtemp(prefix="innkeeper-spy-"))
    directory.chmod(0o755)
    (directory / "said").touch()
    (directory / "said").chmod(0o666)
    secret, guest = directory / "secret", directory / "guest"
    secret.touch(mode=0o600)
    secret.write_text("the order key")
    guest.mkdir(mode=0o711)
    made = Spy(directory, secret, guest)
    made.become(f'exec {real} "$@"')
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    yield made
    shutil.rmtree(directory)


def a_tool() -> DiskTool:
    return DiskTool(tools_user("nobody"))


async def make(spy: Spy, tool: DiskTool, base: str = "/images/a") -> None:
    await tool.create(spy.disk, Backing(base), image_format="raw", size_bytes=8 * MIB)


def owner(path: Path) -> tuple[int, int]:
    return path.stat().st_uid, path.stat().st_gid


@needs_root
async def test_the_tool_runs_as_nobody_and_reaches_its_one_file_alone(spy: Spy) -> None:
    nobody = tools_user("nobody")
    assert nobody is not None
    await make(spy, a_tool())
    await a_tool().put_onto(spy.disk, Backing("/images/b"), image_format="raw")
    said = spy.said()
    assert said.splitlines()[:2] == [str(nobody.uid), str(nobody.gid)], "no other group"
    assert re.findall(r"NoNewPrivs:\s(\d)", said) == ["1", "1"]
    assert set(re.findall(r"CapEff:\s(\w+)", said)) == {"0" * 16}
    assert said.count(f"{spy.secret}: Permission denied") == 2
    assert "the order key" not in said
    assert {each.name for each in spy.guest.iterdir()} == {"disk.qcow2"}, "its directory is not the tool's"
    assert overlay.backing_of(spy.disk) == "/images/b"


@needs_root
async def test_a_disk_belongs_to_whom_it_did_before(spy: Spy) -> None:
    await make(spy, a_tool())
    assert owner(spy.disk) == (0, 0)
    assert spy.disk.stat().st_mode & 0o777 == 0o600, "what a guest wrote is not for every user of its host"
    os.chown(spy.disk, QEMU, QEMU)
    spy.disk.chmod(0o600)
    await a_tool().put_onto(spy.disk, Backing("/images/b"), image_format="raw")
    assert owner(spy.disk) == (QEMU, QEMU)
    assert spy.disk.stat().st_mode & 0o777 == 0o600
    spy.become("exit 1")
    with pytest.raises(InnkeeperError):
        await a_tool().put_onto(spy.disk, Backing("/images/c"), image_format="raw")
    assert owner(spy.disk) == (QEMU, QEMU), "also after a failure"


@needs_root
async def test_what_a_killed_agent_left_is_mended(spy: Spy) -> None:
    """It was killed while the tool had a new disk, and later while the tool had a whole one."""
    nobody = tools_user("nobody")
    assert nobody is not None
    half = spy.guest / "disk.partial"
    half.write_bytes(b"half of a disk")
    os.chown(half, nobody.uid, nobody.gid)
    with half.open("r+b") as of_the_old_tool:
        await make(spy, a_tool())
        of_the_old_tool.write(b"still writing")
    assert overlay.backing_of(spy.disk) == "/images/a"
    assert {each.name for each in spy.guest.iterdir()} == {"disk.qcow2"}

    os.chown(spy.disk, nobody.uid, nobody.gid)
    await a_tool().put_onto(spy.disk, Backing("/images/b"), image_format="raw")
    assert owner(spy.disk) == (0, 0)
    os.chown(spy.disk, nobody.uid, nobody.gid)
    a_tool().take_back(spy.disk)
    assert owner(spy.disk) == (0, 0)
    os.chown(spy.disk, QEMU, QEMU)
    a_tool().take_back(spy.disk)
    assert owner(spy.disk) == (QEMU, QEMU), "nobody lent this one"
    a_tool().take_back(spy.guest / "none")


@needs_root
async def test_a_disk_that_was_given_away_meanwhile_stays_given(spy: Spy) -> None:
    """A person starts the machine by hand while the tool runs: libvirt gives the disk to QEMU."""
    await make(spy, a_tool())
    waiting = spy.directory / "waiting"
    waiting.touch()
    waiting.chmod(0o666)
    spy.become(f"echo yes >{waiting}; while [ -s {waiting} ]; do :; done; exit 1")
    running = asyncio.create_task(a_tool().put_onto(spy.disk, Backing("/images/b"), image_format="raw"))
    await eventually(waiting.read_text)
    os.chown(spy.disk, QEMU, QEMU)
    waiting.write_text("")
    with pytest.raises(InnkeeperError):
        await running
    assert owner(spy.disk) == (QEMU, QEMU)


async def test_the_tool_may_not_take_what_it_likes(spy: Spy) -> None:
    """A tool that an image drives mad is ended by the limits that it was started with."""
    await make(spy, a_tool())
    limits = dict(re.findall(r"^(Max [a-z ]+?) {2,}(\S+)", spy.said(), re.MULTILINE))
    assert limits["Max cpu time"] == "60"
    assert limits["Max address space"] == str(2 * 1024**3)
    assert limits["Max core file size"] == "0"


async def test_an_agent_that_is_not_root_runs_the_tool_as_itself(spy: Spy) -> None:
    before = os.geteuid()
    await make(spy, DiskTool(None))
    assert spy.said().splitlines()[0] == str(before)
    assert re.findall(r"NoNewPrivs:\s(\d)", spy.said()) == ["1"]
    assert owner(spy.disk)[0] == before


@needs_root
@pytest.mark.parametrize(
    ("name", "message"),
    [("no-such-user", "there is no user 'no-such-user'"), ("root", "must not run as root")],
)
def test_a_user_that_cannot_be_used_is_told_at_the_start(name: str, message: str) -> None:
    with pytest.raises(ToolsUserError, match=message):
        tools_user(name)
