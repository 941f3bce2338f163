"""Starts QEMU and measures the milliseconds until it answers on its monitor and its processors run.

It runs inside a host's namespaces and uses the standard library only. The machine is ended again.

Usage: by_hand.py MONITOR-SOCKET COMMAND...
"""

import contextlib
import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TextIO

_DEADLINE_S = 60.0
_LOOK_AGAIN_S = 0.001


def main() -> None:
    """Start it once and print the milliseconds."""
    monitor, command = Path(sys.argv[1]), sys.argv[2:]
    monitor.unlink(missing_ok=True)
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
            _ask(stream, "quit")
        qemu.wait(timeout=10)
    finally:
        if qemu.poll() is None:
            qemu.kill()
            qemu.wait()
        monitor.unlink(missing_ok=True)
    print(json.dumps({"ms": took * 1000}))


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
