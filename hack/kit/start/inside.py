"""Starts machines at once, as libvirt's command or as QEMU's, and measures the milliseconds of each.

QEMU is measured until it answers on its monitor and its processors run, `virsh` until it returns. It runs inside a
host's namespaces and uses the standard library only. The machines are ended again.

Standard input is a JSON list of {"virsh": XML-FILE, "name": DOMAIN} or {"monitor": SOCKET, "command": [...]}.
"""

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TextIO

_DEADLINE_S = 120.0
_LOOK_AGAIN_S = 0.001


def main() -> None:
    """Start all of them at once and print the milliseconds, in their order."""
    machines = json.load(sys.stdin)
    together = threading.Barrier(len(machines))
    with ThreadPoolExecutor(len(machines)) as threads:
        took = list(threads.map(lambda each: _start(each, together), machines))
    print(json.dumps(took))


def _start(machine: dict[str, Any], together: threading.Barrier) -> float:
    if "virsh" in machine:
        return _virsh(machine["virsh"], machine["name"], together)
    return _qemu(Path(machine["monitor"]), machine["command"], together)


def _virsh(definition: str, name: str, together: threading.Barrier) -> float:
    together.wait(_DEADLINE_S)
    begun = time.perf_counter()
    _run("create", definition)
    took = time.perf_counter() - begun
    together.wait(_DEADLINE_S)
    _run("destroy", name)
    return took * 1000


def _run(*words: str) -> None:
    command = ["virsh", "-q", "-c", "qemu:///system", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_DEADLINE_S)
    if done.returncode:
        raise SystemExit(f"virsh {words[0]}: {done.stderr.strip()}")


def _qemu(monitor: Path, command: list[str], together: threading.Barrier) -> float:
    monitor.unlink(missing_ok=True)
    together.wait(_DEADLINE_S)
    begun = time.perf_counter()
    qemu = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        with _connected(qemu, monitor) as connection, connection.makefile("rw") as stream:
            stream.readline()  # its greeting
            _ask(stream, "qmp_capabilities")
            while _ask(stream, "query-status").get("status") != "running":
                time.sleep(_LOOK_AGAIN_S)
            took = time.perf_counter() - begun
            together.wait(_DEADLINE_S)
            _ask(stream, "quit")
        qemu.wait(timeout=10)
    finally:
        if qemu.poll() is None:
            qemu.kill()
            qemu.wait()
        monitor.unlink(missing_ok=True)
    return took * 1000


def _connected(qemu: "subprocess.Popen[bytes]", monitor: Path) -> socket.socket:
    """Connect as soon as QEMU listens."""
    deadline = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline:
        if qemu.poll() is not None:
            assert qemu.stderr is not None  # noqa: S101 - it was asked for
            raise SystemExit(f"QEMU ended with code {qemu.returncode}: {qemu.stderr.read().decode()[-1000:]}")
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_DEADLINE_S)
        with contextlib.suppress(OSError):
            connection.connect(str(monitor))
            return connection
        connection.close()
        time.sleep(_LOOK_AGAIN_S)
    raise SystemExit(f"QEMU did not listen at {monitor} in {_DEADLINE_S:.0f} s")


def _ask(stream: TextIO, command: str) -> dict[str, Any]:
    """Send a command and return its answer; events before it are skipped."""
    stream.write(json.dumps({"execute": command}) + "\n")
    stream.flush()
    for line in stream:
        answer = json.loads(line)
        if "return" in answer:
            found: dict[str, Any] = answer["return"]
            return found
        if "error" in answer:
            raise SystemExit(f"QEMU refuses {command}: {answer['error']}")
    raise SystemExit("QEMU closed its monitor")


if __name__ == "__main__":
    main()
