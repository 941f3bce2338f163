"""Whether KVM really runs guests: found out by running code, with a deadline. That /dev/kvm opens proves nothing.

Two steps, each in a QEMU that is killed when its time is over. First nine bytes of real-mode code that write to QEMU's
debug-exit port. Then this machine's own kernel, which boots, finds no root and panics; where no kernel lies on the
machine, KVM counts only if a driver of the processor's own virtualisation (kvm_intel, kvm_amd) stands behind it: other
backends were seen to run the nine bytes and to hang stock kernels for ever.
"""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import structlog

log = structlog.get_logger()

QEMU = "qemu-system-x86_64"
CODE_DEADLINE_S = 5.0
KERNEL_DEADLINE_S = 30.0
_EXIT_PORT = 0xF4
_EXIT_VALUE = 0x31
_EXIT_CODE = (_EXIT_VALUE << 1) | 1  # what isa-debug-exit makes of the value
_ROM_BYTES = 65536
_RESET_VECTOR = 0xFFF0
# mov al, value; mov dx, port; out dx, al; hlt; jmp back to the hlt
_CODE = bytes([0xB0, _EXIT_VALUE, 0xBA, _EXIT_PORT, 0x00, 0xEE, 0xF4, 0xEB, 0xFD])
_HARDWARE_MODULES = ("kvm_intel", "kvm_amd")
_COMMON = ("-accel", "kvm", "-machine", "pc", "-nodefaults", "-display", "none", "-no-reboot")


async def kvm_runs_code(*, device: Path = Path("/dev/kvm"), modules: Path = Path("/sys/module")) -> bool:
    """Tell whether guests can run under KVM here; why not goes into the log."""
    why_not = await why_not_kvm(device=device, modules=modules)
    if why_not is not None:
        log.info("kvm_not_used", why=why_not)
    return why_not is None


async def why_not_kvm(*, device: Path = Path("/dev/kvm"), modules: Path = Path("/sys/module")) -> str | None:
    """Return why guests cannot run under KVM here; None where they can."""
    if not os.access(device, os.R_OK | os.W_OK):
        return f"{device} is not there, or may not be opened"
    if not await _runs_nine_bytes():
        return "nine bytes of code did not run"
    kernel = _own_kernel()
    if kernel is not None:
        ended = await _run(
            ["-m", "256", "-kernel", str(kernel), "-append", "panic=-1 quiet"], KERNEL_DEADLINE_S
        )
        return None if ended == 0 else f"the kernel {kernel} did not boot within {KERNEL_DEADLINE_S:.0f} s"
    if any((modules / name).is_dir() for name in _HARDWARE_MODULES):
        return None
    return "no kernel lies here to try, and KVM is not backed by kvm_intel or kvm_amd"


async def _runs_nine_bytes() -> bool:
    rom = bytearray(_ROM_BYTES)
    rom[_RESET_VECTOR : _RESET_VECTOR + len(_CODE)] = _CODE
    with tempfile.NamedTemporaryFile(prefix="innkeeper-kvm-probe-") as file:
        file.write(rom)
        file.flush()
        exit_device = f"isa-debug-exit,iobase={_EXIT_PORT:#x},iosize=1"
        words = ["-m", "16", "-device", exit_device, "-bios", file.name]
        return await _run(words, CODE_DEADLINE_S) == _EXIT_CODE


def _own_kernel() -> Path | None:
    release = os.uname().release
    places = (Path(f"/boot/vmlinuz-{release}"), Path(f"/lib/modules/{release}/vmlinuz"))
    return next((each for each in places if os.access(each, os.R_OK)), None)


async def _run(words: Sequence[str], deadline_s: float) -> int | None:
    """Run QEMU; return its exit code, or None when it is missing or had to be killed."""
    try:
        process = await asyncio.create_subprocess_exec(
            QEMU,
            *_COMMON,
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except FileNotFoundError:
        return None
    try:
        async with asyncio.timeout(deadline_s):
            return await process.wait()
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
