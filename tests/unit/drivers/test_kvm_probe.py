"""The probe believes in KVM only when code ran, and never waits longer than it says.

QEMU is a script here that behaves as the test says; a test at the end runs the real one, on whatever this machine is.
"""

import asyncio
import os
from pathlib import Path

import pytest

from innkeeper.agent.drivers.libvirt import kvm_probe
from tests.kit.waiting import eventually

FINE = 'case "$*" in *isa-debug-exit*) exit 99;; *-kernel*) exit 0;; esac; exit 1'
CODE_ONLY_THEN_HANGS = 'case "$*" in *isa-debug-exit*) exit 99;; esac; exec tail -f /dev/null'
HANGS = "exec tail -f /dev/null"
FAILS = "exit 1"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with /dev/kvm, whose QEMU and kernel the tests put there."""
    (tmp_path / "kvm").touch()
    (tmp_path / "modules").mkdir()
    monkeypatch.setattr(kvm_probe, "QEMU", str(tmp_path / "qemu"))
    # Long, so that a slow machine is no hanging QEMU: where one hangs, the test shortens the step's.
    monkeypatch.setattr(kvm_probe, "CODE_DEADLINE_S", 600)
    monkeypatch.setattr(kvm_probe, "KERNEL_DEADLINE_S", 600)
    monkeypatch.setattr(kvm_probe, "_own_kernel", lambda: None)
    return tmp_path


def put_qemu(machine: Path, script: str) -> None:
    qemu = machine / "qemu"
    qemu.write_text(f"#!/bin/sh\n{script}\n")
    qemu.chmod(0o755)


def put_kernel(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm_probe, "_own_kernel", lambda: machine / "vmlinuz")


async def runs(machine: Path) -> bool:
    return await kvm_probe.kvm_runs_code(device=machine / "kvm", modules=machine / "modules")


async def test_hardware_that_runs_code_and_a_kernel_counts(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_qemu(machine, FINE)
    put_kernel(machine, monkeypatch)
    assert await runs(machine)


@pytest.mark.parametrize("module", ["kvm_intel", "kvm_amd"])
async def test_without_a_kernel_to_try_the_processors_own_driver_counts(machine: Path, module: str) -> None:
    put_qemu(machine, FINE)
    assert not await runs(machine)
    (machine / "modules" / module).mkdir()
    assert await runs(machine)


@pytest.mark.parametrize(
    ("script", "hanging"),
    [(HANGS, "CODE_DEADLINE_S"), (FAILS, None), (CODE_ONLY_THEN_HANGS, "KERNEL_DEADLINE_S")],
)
async def test_whatever_does_not_run_is_emulation(
    machine: Path, script: str, hanging: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_qemu(machine, script)
    put_kernel(machine, monkeypatch)
    (machine / "modules" / "kvm_intel").mkdir()
    if hanging is not None:
        monkeypatch.setattr(kvm_probe, hanging, 0.3)
    # Far less than the deadlines that are not the hanging step's.
    async with asyncio.timeout(60):
        assert not await runs(machine)


async def test_no_device_no_qemu(machine: Path) -> None:
    assert not await runs(machine)
    (machine / "kvm").unlink()
    put_qemu(machine, FINE)
    (machine / "modules" / "kvm_intel").mkdir()
    assert not await runs(machine)


async def test_a_cancelled_probe_leaves_no_process(machine: Path) -> None:
    put_qemu(machine, f"echo $$ > {machine}/pid.new; mv {machine}/pid.new {machine}/pid; {HANGS}")
    task = asyncio.create_task(runs(machine))
    await eventually((machine / "pid").exists, deadline_s=60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int((machine / "pid").read_text()), 0)


@pytest.mark.lab
async def test_the_real_probe_answers_in_time() -> None:
    async with asyncio.timeout(kvm_probe.CODE_DEADLINE_S + kvm_probe.KERNEL_DEADLINE_S + 10):
        assert await kvm_probe.kvm_runs_code() in (True, False)
