"""The lab's hosts as machines: start, end, and run a program inside.

A machine is known by its network namespace: whatever process lives in it belongs to the machine and ends with it, its
QEMUs included, which libvirt gives a mount namespace each.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from kit import steps
from kit.daemons import Daemon
from kit.lab.plan import Plan

KEEPER = Path(__file__).with_name("machine_keeper.py")
# What a machine is made with and of, on PATH.
PROGRAMS = ("ip", "nsenter", "unshare", "mount", "virtlogd", "libvirtd")
READY_WITHIN = 60.0
_POLL = 0.05


def keeper(plan: Plan, host: str) -> Daemon:
    """Return the first process of a host."""
    return Daemon("machine", plan.host_directory(host))


def up(plan: Plan, host: str) -> None:
    """Start the machine unless it runs, and wait for its libvirt."""
    daemon = keeper(plan, host)
    ready = plan.host_directory(host) / "run" / "machine-ready"
    if not daemon.alive():
        directory = plan.host_directory(host)
        # Of an earlier start: who takes it for this one comes before the machine's own file system is there.
        ready.unlink(missing_ok=True)
        directory.mkdir(parents=True, exist_ok=True)
        # A name of its own in the UTS namespace: libvirt knows hosts by theirs.
        isolate = [
            "ip",
            "netns",
            "exec",
            plan.namespace(host),
            "unshare",
            "--mount",
            "--uts",
            "--propagation",
            "private",
        ]
        daemon.start([*isolate, sys.executable, KEEPER, host, directory])
    deadline = time.monotonic() + READY_WITHIN
    while not ready.exists():
        if not daemon.alive() or time.monotonic() > deadline:
            raise steps.StepError(f"the machine {host} did not start; its log ends:\n{daemon.log_tail()}")
        time.sleep(_POLL)


def inside(plan: Plan, host: str, command: Sequence[str | Path]) -> list[str]:
    """Return the command that runs `command` on the host.

    Raises:
        StepError: when the host does not run.
    """
    pid = keeper(plan, host).pid()
    if pid is None:
        raise steps.StepError(f"the host {host} of lab {plan.name} does not run; start it with `hack/lab up`")
    return ["nsenter", "--target", str(pid), "--mount", "--uts", "--net", *map(str, command)]


def processes(plan: Plan, host: str) -> list[int]:
    """Return the pids of everything that runs on the host."""
    pid = keeper(plan, host).pid()
    if pid is None:
        return []
    own = _network_namespace(pid)
    found = (int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit())
    return [each for each in found if own and _network_namespace(each) == own]


def down(plan: Plan, host: str) -> None:
    """End every process of the host, the keeper last."""
    daemon = keeper(plan, host)
    pid = daemon.pid()
    deadline = time.monotonic() + READY_WITHIN
    while others := [each for each in processes(plan, host) if each != pid]:
        for each in others:
            _kill(each)
        if time.monotonic() > deadline:
            raise steps.StepError(f"processes {others} of host {host} do not end, even when killed")
        time.sleep(_POLL)
    daemon.stop()


def virsh(plan: Plan, host: str, *words: str) -> str:
    """Run virsh on the host and return what it prints."""
    done = subprocess.run(
        inside(plan, host, ["virsh", "-c", "qemu:///system", *words]),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise steps.StepError(f"virsh {' '.join(words)} on {host}: {done.stderr.strip()}")
    return done.stdout


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _network_namespace(pid: int) -> str | None:
    try:
        if (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]) in "ZX":
            return None
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return None
