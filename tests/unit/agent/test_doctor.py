"""What the doctor says of machines with one thing wrong each: real files, sockets and programs, no API server."""

import asyncio
import base64
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from innkeeper.agent.doctor import registry
from innkeeper.agent.doctor.checks import clock as clock_check
from innkeeper.agent.doctor.checks import console, disk, identity, images, kvm, network, programs
from innkeeper.agent.doctor.finding import Finding, Verdict, ok
from innkeeper.agent.doctor.look import Joined, Machine, look
from innkeeper.agent.only_one import only_one
from innkeeper.agent.paths import StatePaths
from innkeeper.agent.trust import encode_keys
from innkeeper.kube.errors import ForbiddenError, UnauthorizedError
from innkeeper.kube.tokens import Token
from innkeeper.views.host import HostAgentSpec, ManagedBridge, Network
from tests.kit import fake_programs
from tests.kit.account_tokens import token
from tests.kit.agent_orders import KEYS
from tests.kit.clock import ManualClock

NOBODY = Joined()


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory that others can reach: those of pytest are closed to them."""
    with tempfile.TemporaryDirectory(prefix="innkeeper-doctor-") as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


@pytest.fixture
def machine(state: Path) -> Machine:
    return Machine(
        join_file=state / "join.json",
        paths=StatePaths(state),
        libvirt_uri="test:///default",
        clock=ManualClock(),
        listen=(("metrics", "127.0.0.1", 0),),
    )


def joined(machine: Machine, *, server: str = "https://127.0.0.1:1", **says: object) -> Path:
    token_file = machine.join_file.with_name("token")
    token_file.write_text(token(host="inn-a", **says))  # type: ignore[arg-type] # what the token says
    document = {
        "host": "inn-a",
        "server": server,
        "caData": base64.b64encode(b"none").decode(),
        "tokenFile": "token",
        "orderKeys": encode_keys(KEYS),
    }
    machine.join_file.write_text(json.dumps(document))
    for file in (token_file, machine.join_file):
        file.chmod(0o600)
    return token_file


def set_mode(path: Path, mode: int) -> None:
    path.chmod(mode)


@contextmanager
def no_longer_ours(directory: Path) -> Iterator[None]:
    """Close a directory to who asks: also root is somebody else meanwhile."""
    user = os.geteuid()
    set_mode(directory, 0)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        set_mode(directory, 0o700)


def is_fault(finding: Finding, seen: str, todo: str, *, verdict: Verdict = Verdict.FAIL) -> None:
    assert (finding.verdict, seen in finding.seen, todo in finding.todo) == (verdict, True, True), finding


async def test_a_libvirt_that_answers_says_its_version(machine: Machine) -> None:
    pytest.importorskip("libvirt")
    found = await programs.libvirt(machine, NOBODY)
    assert found.verdict is Verdict.OK, found
    assert found.seen.startswith("libvirt ")


async def test_a_libvirt_that_does_not_answer(machine: Machine, state: Path) -> None:
    uri = f"qemu+unix:///system?socket={state}/nobody"
    away = Machine(join_file=machine.join_file, paths=machine.paths, libvirt_uri=uri, clock=machine.clock)
    is_fault(await programs.libvirt(away, NOBODY), "does not answer", "systemctl enable --now libvirtd")


async def runs_code() -> None:
    """KVM runs code for this user, so there is no reason against it."""


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch, state: Path) -> Path:
    """A /dev/kvm on which code runs; libvirt says that QEMU is the user nobody, with a group that the device has not."""
    made = state / "kvm"
    made.touch()
    monkeypatch.setattr(kvm, "DEVICE", made)
    monkeypatch.setattr(kvm, "why_not_kvm", runs_code)
    monkeypatch.setattr("sys.executable", str(state / "python"))
    qemu_is(state, gid=4711)
    return made


def group_of(path: Path) -> int:
    return path.stat().st_gid


def qemu_is(state: Path, *, gid: int) -> None:
    said = json.dumps({"uid": 65534, "gid": gid})
    fake_programs.put(state, "python", f"echo '{said}'")


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o664, 0o604])
async def test_kvm_that_only_this_user_may_open_is_none_for_guests(
    machine: Machine, device: Path, mode: int
) -> None:
    """As where /dev/kvm belongs to a group that QEMU's user is not in: in containers, and without udev."""
    set_mode(device, mode)
    told = await kvm.check(machine, NOBODY)
    is_fault(told, "closed to QEMU's, nobody 65534:4711", "chgrp kvm")
    allowing = Joined(orders=HostAgentSpec(cluster="c", network=Network(), allow_emulation=True))
    assert (await kvm.check(machine, allowing)).verdict is Verdict.FAIL, "KVM is what the agent takes"


async def test_kvm_of_qemus_own_group_or_of_all_is_for_guests(
    machine: Machine, device: Path, state: Path
) -> None:
    set_mode(device, 0o666)
    assert await kvm.check(machine, NOBODY) == ok("code runs under KVM")
    set_mode(device, 0o660)
    qemu_is(state, gid=group_of(device))
    assert await kvm.check(machine, NOBODY) == ok("code runs under KVM")


async def test_where_users_are_not_known_any_group_may_let_qemu_in(
    machine: Machine, device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a pod, where the machine's list of users is not: only what is closed to all groups is told."""
    monkeypatch.setattr(kvm, "_groups", lambda _uid, _gid: ("the user", None))
    set_mode(device, 0o660)
    assert await kvm.check(machine, NOBODY) == ok("code runs under KVM")
    set_mode(device, 0o600)
    is_fault(await kvm.check(machine, NOBODY), "closed to QEMU's, the user", "on the machine itself")


@pytest.mark.parametrize("uri", ["test:///default", "qemu+unix:///system?socket=/nowhere"])
async def test_a_libvirt_that_names_no_user_leaves_it_at_what_was_tried(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    pytest.importorskip("libvirt")
    monkeypatch.setattr(kvm, "why_not_kvm", runs_code)
    found = await kvm.check(replace(machine, libvirt_uri=uri), NOBODY)
    assert found == ok("code runs under KVM")


@pytest.mark.parametrize(
    ("check", "package"),
    [
        (programs.qemu, "qemu-system-x86 qemu-utils"),
        (programs.packet_filter, "nftables"),
        (programs.dhcp, "dnsmasq-base"),
    ],
)
async def test_programs_that_are_missing_are_named_with_their_packages(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, state: Path, check: registry.Checking, package: str
) -> None:
    monkeypatch.setenv("PATH", str(state))
    is_fault(await check(machine, NOBODY), "not installed", f"apt-get install {package}")


async def test_a_program_that_fails_is_told_with_its_words(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, state: Path
) -> None:
    """As nft without the right to read the tables, for example."""
    fake = state / "nft"
    fake.write_text("#!/bin/sh\necho 'Operation not permitted' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{state}{os.pathsep}{os.environ['PATH']}")
    is_fault(await programs.packet_filter(machine, NOBODY), "Operation not permitted", "as root")


async def test_a_port_that_something_else_has(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = Machine(
            join_file=machine.join_file,
            paths=machine.paths,
            libvirt_uri="",
            clock=machine.clock,
            listen=(("metrics", "127.0.0.1", port),),
        )
        is_fault(await network.ports(taken, NOBODY), f"127.0.0.1:{port} (metrics)", "--metrics-port")
        with only_one(machine.paths.lock, who="agent"):
            assert (await network.ports(taken, NOBODY)).verdict is Verdict.OK, "the agent itself has it"
    assert (await network.ports(taken, NOBODY)).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("address", "seen"),
    [("::1", None), ("192.0.2.1", "nothing can listen at 192.0.2.1:0 (host API): Cannot")],
)
async def test_an_address_to_listen_at(machine: Machine, address: str, seen: str | None) -> None:
    """Of the other family, and one that is not of this machine: the second is no matter of who else listens."""
    there = replace(machine, listen=(("host API", address, 0),))
    found = await network.ports(there, NOBODY)
    if seen is None:
        assert found.verdict is Verdict.OK, found
    else:
        is_fault(found, seen, "--api-listen")


@pytest.mark.parametrize(
    ("mode", "seen", "todo"),
    [(0o777, "others may write", "chmod 711"), (0o700, "cannot enter", "chmod o+x")],
)
async def test_a_state_directory_with_wrong_rights(
    machine: Machine, state: Path, mode: int, seen: str, todo: str
) -> None:
    assert (await disk.rights(machine, NOBODY)).verdict is Verdict.OK
    set_mode(state, mode)
    is_fault(await disk.rights(machine, NOBODY), seen, todo)


@pytest.mark.parametrize(("free", "verdict"), [(20, Verdict.OK), (5, Verdict.WARN), (0, Verdict.FAIL)])
async def test_room_for_guests(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, free: int, verdict: Verdict
) -> None:
    def left(_: Path) -> os.statvfs_result:
        return os.statvfs_result((1, 1024**3, 100, 100, free, 100, 100, 100_000, 0, 255))

    monkeypatch.setattr(os, "statvfs", left)
    assert (await disk.room(machine, NOBODY)).verdict is verdict


@pytest.mark.parametrize(
    ("given", "seen", "todo"),
    [
        (Network(bridge="innkeeper-no"), "there is no bridge innkeeper-no", "make it"),
        (Network(bridge="lo"), "there is no bridge lo", "spec.network.managed"),
        (Network(managed=ManagedBridge(uplink="innkeeper-no")), "the uplink innkeeper-no", "of the Cluster"),
    ],
)
async def test_a_bridge_that_is_not_there(machine: Machine, given: Network, seen: str, todo: str) -> None:
    told = Joined(orders=HostAgentSpec(cluster="lab", network=given))
    is_fault(await network.bridge(machine, told), seen, todo)


async def test_a_machine_that_has_not_joined_is_told_how(machine: Machine) -> None:
    told = await look(machine)
    found = await identity.join_file(machine, told)
    is_fault(found, "has not joined", "kubectl guest join-token", verdict=Verdict.WARN)
    for check in (identity.token, identity.api_server, images.check, network.bridge):
        assert (await check(machine, told)).verdict is Verdict.OK


@pytest.mark.parametrize("change", [None, {"caData": "no base64"}, {"caData": "/w=="}])
async def test_a_join_file_that_is_damaged(machine: Machine, change: dict[str, str] | None) -> None:
    joined(machine)
    text = machine.join_file.read_text()
    machine.join_file.write_text("{" if change is None else json.dumps(json.loads(text) | change))
    is_fault(await identity.join_file(machine, await look(machine)), "cannot be used", "join again")


async def test_who_may_not_read_the_join_file_is_told_to_be_root(machine: Machine, state: Path) -> None:
    closed = state / "closed"
    closed.mkdir()
    mine = replace(machine, join_file=closed / "join.json", paths=StatePaths(closed))
    joined(mine)
    # The first thread loads a module, from where the other user may not look.
    await asyncio.to_thread(int)
    with no_longer_ours(closed):
        found = await registry.examine(mine, {"join": identity.join_file, "token": identity.token})
    is_fault(found[0].finding, "Permission denied", "run this as root")
    assert found[1].finding == ok("not asked: the join file cannot be used")


async def test_a_token_that_others_may_read(machine: Machine) -> None:
    set_mode(joined(machine), 0o644)
    is_fault(await identity.join_file(machine, await look(machine)), "others on this machine", "chmod 600")


@pytest.mark.parametrize(("age_s", "verdict"), [(0, Verdict.OK), (3000, Verdict.WARN), (3601, Verdict.FAIL)])
async def test_when_the_token_ends(machine: Machine, age_s: float, verdict: Verdict) -> None:
    joined(machine, lifetime_s=3600)
    assert isinstance(machine.clock, ManualClock)
    machine.clock.advance(age_s)
    assert (await identity.token(machine, await look(machine))).verdict is verdict


async def test_an_api_server_that_is_away(machine: Machine) -> None:
    joined(machine, server="http://127.0.0.1:1")
    told = await look(machine)
    is_fault(await identity.api_server(machine, told), "does not answer", "can this machine reach it")
    assert told.ahead is None


@pytest.mark.parametrize(
    ("error", "todo"),
    [(UnauthorizedError("no"), "join again"), (ForbiddenError("no"), "does the operator run")],
)
async def test_an_api_server_that_refuses(machine: Machine, error: Exception, todo: str) -> None:
    joined(machine)
    told = await look(machine)
    refused = Joined(join=told.join, token=Token.read(token()), trouble=error)  # type: ignore[arg-type] # one of ours
    is_fault(await identity.api_server(machine, refused), "", todo)


@pytest.mark.parametrize(("ahead_s", "verdict"), [(-7, Verdict.WARN), (61, Verdict.FAIL)])
async def test_a_clock_that_is_not_the_api_servers(
    machine: Machine, ahead_s: float, verdict: Verdict
) -> None:
    found = await clock_check.check(machine, Joined(ahead=timedelta(seconds=ahead_s)))
    is_fault(found, "behind" if ahead_s < 0 else "ahead of", "timedatectl", verdict=verdict)


def test_the_kernel_says_whether_its_clock_is_kept_right() -> None:
    assert clock_check.is_kept_right() in {True, False}


async def test_an_image_server_that_is_away(machine: Machine) -> None:
    away = Machine(
        join_file=machine.join_file,
        paths=machine.paths,
        libvirt_uri="",
        clock=machine.clock,
        images_url="http://127.0.0.1:1/x",
    )
    is_fault(await images.check(away, NOBODY), "http://127.0.0.1:1 does not answer", "--images-ca-file")


async def test_a_check_that_breaks_or_hangs_hides_no_other(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(_: Machine, __: Joined) -> Finding:
        raise PermissionError("no")

    async def hangs(_: Machine, __: Joined) -> Finding:
        await asyncio.Event().wait()
        raise AssertionError

    async def well(_: Machine, __: Joined) -> Finding:
        return ok("well")

    monkeypatch.setattr(registry, "WITHIN_S", 0.01)
    found = await registry.examine(machine, {"a": breaks, "b": hangs, "c": well})
    assert [each.finding.verdict for each in found] == [Verdict.FAIL, Verdict.FAIL, Verdict.OK]
    assert "PermissionError" in found[0].finding.seen
    assert "took more than" in found[1].finding.seen


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("", Verdict.OK),
        ('#stdio_handler = "file"\n', Verdict.OK),
        ('stdio_handler = "logd"  # "file" before\n', Verdict.OK),
        ('user = "root"\nstdio_handler = "file"\n', Verdict.FAIL),
        ("  stdio_handler='file'\n", Verdict.FAIL),
        ('stdio_handler = "logd"\nstdio_handler = "file"\n', Verdict.FAIL),
    ],
)
async def test_consoles_that_a_guest_can_fill_the_disk_through(
    machine: Machine, text: str, verdict: Verdict
) -> None:
    settings = machine.paths.root / "qemu.conf"
    settings.write_text(text)
    here = replace(machine, libvirt_uri="qemu:///system", qemu_conf=settings)
    found = await console.check(here, NOBODY)
    assert found.verdict is verdict
    assert "logd" in found.seen + found.todo


@pytest.mark.parametrize("where", ["qemu:///system", "test:///default"])
async def test_consoles_of_a_libvirt_whose_settings_are_elsewhere(machine: Machine, where: str) -> None:
    here = replace(machine, libvirt_uri=where, qemu_conf=machine.paths.root / "none.conf")
    found = await console.check(here, NOBODY)
    assert (found.verdict, "none.conf" in found.todo) == (Verdict.WARN, True)
