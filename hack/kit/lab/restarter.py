"""Runs a process that may end by itself, and starts it again: what systemd or a kubelet does elsewhere.

The operator ends when it loses its Lease, as it does while the API server is away for long. SIGTERM ends both; when
this one is killed the kernel kills the other, so nothing is left behind.

Usage: restarter.py PROGRAM [ARGUMENT ...]
"""

import ctypes
import signal
import subprocess
import sys
import time

PAUSE = 1.0
_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run the program until SIGTERM, or until it ends in order."""
    child: subprocess.Popen[bytes] | None = None
    asked = False

    def end(number: int, _frame: object) -> None:
        nonlocal asked
        asked = True
        if child is not None:
            child.send_signal(number)

    signal.signal(signal.SIGTERM, end)
    while True:
        child = subprocess.Popen(sys.argv[1:], preexec_fn=_die_with_parent)  # noqa: PLW1509 - this program has one thread
        if asked:  # while the program was being started, when there was nobody to pass it on to
            child.terminate()
        code = child.wait()
        if asked or code == 0:
            return code
        sys.stderr.write(f"{sys.argv[1]} ended with {code}; it is started again\n")
        sys.stderr.flush()
        time.sleep(PAUSE)
        if asked:
            return 0


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
