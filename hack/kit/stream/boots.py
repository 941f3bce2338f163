"""Guests of the bench: real QEMUs, emulated, timed until sshd in the guest takes a connection."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kit import ports, steps
from kit.daemons import Daemon
from kit.guest_image import boot_check

MARKER = b"SSH-"
WITHIN_S = 300.0
_LOOK_S = 0.05
MEMORY_MIB = 512


@dataclass(frozen=True)
class Boot:
    """A guest that boots."""

    qemu: Daemon
    port: int

    async def marker(self) -> float:
        """Return the moment at which sshd took a connection.

        Raises:
            StepError: it did not in time.
        """
        deadline = time.monotonic() + WITHIN_S
        while time.monotonic() < deadline:
            if await asyncio.to_thread(_takes_connection, self.port):
                return time.monotonic()
            await asyncio.sleep(_LOOK_S)
        raise steps.StepError(f"the guest did not boot in {WITHIN_S:.0f} s: {self.qemu.log_tail(5)}")


@contextmanager
def booting(directory: Path, *, backing: str) -> Iterator[Boot]:
    """Start a guest over an image; it is ended with the context."""
    directory.mkdir(parents=True)
    boot_check.write_seed(directory / "seed", public_key="ssh-ed25519 bench")
    overlay = directory / "overlay.qcow2"
    command: list[str | Path] = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", backing]
    steps.run([*command, overlay, "4G"], doing="making an overlay")
    (port,) = ports.choose(1, address="127.0.0.1")
    guest = Daemon("qemu", directory)
    guest.start(boot_check.qemu(overlay, directory=directory, port=port, memory_mib=MEMORY_MIB))
    try:
        yield Boot(guest, port)
    finally:
        guest.stop(grace=0)


def _takes_connection(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.settimeout(1)
            return connection.recv(4) == MARKER
    except OSError:
        return False
