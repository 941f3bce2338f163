"""A libvirt of its own for tests: in namespaces that end with it, so that no process, mount or bridge stays behind.

It is the machine of the lab (`hack/kit/lab/machine_keeper.py`) without a lab around it: own mounts, own network with the
bridge `br0`, own processes. Disks lie in `directory`, which both sides see. Needs root.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from kit.lab import machines
from tests.kit.lab import until

BRIDGE = "br0"
_START_S = 60.0
_ISOLATE = (
    *("unshare", "--net", "--mount", "--uts", "--pid"),
    *("--fork", "--kill-child", "--mount-proc", "--propagation", "private"),
)


class PrivateLibvirt:
    """One libvirtd with its virtlogd and its QEMUs."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="innkeeper-libvirt-"))
        self.directory.chmod(0o711)  # QEMU's user reaches the disks inside
        self._log = self.directory / "machine.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Where it listens, seen from outside."""
        return f"qemu+unix:///system?socket={self.directory}/run/libvirt/libvirt-sock"

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [*_ISOLATE, sys.executable, str(machines.KEEPER), "test-host", str(self.directory)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self._ready, what="the machine", within_s=_START_S)
        for words in (f"link add {BRIDGE} type bridge", f"link set {BRIDGE} up"):
            self.inside("ip", *words.split())

    def stop(self) -> None:
        """End everything inside, QEMUs included."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=_START_S)
        shutil.rmtree(self.directory, ignore_errors=True)

    def inside(self, *command: str) -> str:
        """Run a command in its namespaces and return what it prints."""
        enter = ["nsenter", "--target", str(self._keeper()), "--all"]
        done = subprocess.run([*enter, *command], check=True, capture_output=True, timeout=_START_S)
        return done.stdout.decode()

    def end_daemon(self) -> None:
        """Kill libvirtd; QEMUs and virtlogd live on."""
        for pid in self._pids("libvirtd"):
            os.kill(pid, signal.SIGKILL)

    def start_daemon(self) -> None:
        """Start libvirtd again."""
        self.inside("libvirtd", "-d")

    def machine_pids(self, guest_id: str) -> list[int]:
        """Return the QEMUs of a guest, as this side numbers them."""
        return [
            pid for pid in self._pids("qemu-system-x86_64") if f"guest=innkeeper-{guest_id}," in _words(pid)
        ]

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"the machine did not start: {self._log.read_text()[-2000:]}")
        return (self.directory / "run" / "machine-ready").exists()

    def _keeper(self) -> int:
        """Return the first process inside: the only child of `unshare`."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        return int(children.split()[0])

    def _pids(self, program: str) -> list[int]:
        own = Path(f"/proc/{self._keeper()}/ns/pid").readlink()
        return [
            int(each.name)
            for each in Path("/proc").iterdir()
            if each.name.isdigit() and _is(each, program, own)
        ]


def _is(process: Path, program: str, namespace: Path) -> bool:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
        return words[0].decode().endswith(program) and (process / "ns" / "pid").readlink() == namespace
    except OSError:
        return False


def _words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
