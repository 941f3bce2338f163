"""What the first process of a trial's machine does: mount, adopt those who lose their parent, wait, reap.

Where nobody reaps, daemons that fork themselves away stay as zombies. It starts nothing by itself.
"""

import ctypes
import os
import signal
import subprocess

_PR_SET_CHILD_SUBREAPER = 36


def mount(*words: str) -> None:
    """Call the program of that name with these words; it must succeed."""
    subprocess.run(["mount", *words], check=True, stdin=subprocess.DEVNULL)


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_until_told_to_end() -> None:
    """Wait for SIGTERM or SIGINT, and take in every child that ends meanwhile."""
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, {*ends, signal.SIGCHLD})
    while signal.sigwait({*ends, signal.SIGCHLD}) not in ends:
        _reap()


def _reap() -> None:
    while True:
        try:
            child, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if child == 0:
            return
