"""The control groups of a cluster's pods: where they lie, who is in them, and their end.

A pod's processes may have network namespaces of their own, so they are known by their control group. Version 1 (a
hierarchy for each controller) and version 2 are the same to it: directories that hold `cgroup.procs`.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

from kit import steps

ROOT = "/sys/fs/cgroup"
_WITHIN_S = 30.0
_POLL = 0.05


def mounts() -> list[tuple[str, str, str]]:
    """Return how this machine mounts its control groups: type, place, options; in their order."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        kind, place, options = line.split()[2], line.split()[1], line.split()[3]
        if place == ROOT or place.startswith(f"{ROOT}/"):
            found.append((kind, place, _mountable(kind, options)))
    return found


def _mountable(kind: str, options: str) -> str:
    """A hierarchy without a controller must be asked for as such."""
    words = options.split(",")
    if kind == "cgroup" and any(word.startswith("name=") for word in words):
        words.insert(0, "none")
    return ",".join(words)


def make(name: str) -> None:
    """Make the group in each hierarchy."""
    for hierarchy in _hierarchies():
        (hierarchy / name).mkdir(exist_ok=True)
        _give_processors(hierarchy / name)


def end(name: str) -> None:
    """End every process of the group, and remove it.

    Raises:
        StepError: when a process does not end.
    """
    deadline = time.monotonic() + _WITHIN_S
    while living := _members(name):
        for pid in living:
            _kill(pid)
        if time.monotonic() > deadline:
            raise steps.StepError(f"processes {sorted(living)} of pods do not end, even when killed")
        time.sleep(_POLL)
    for hierarchy in _hierarchies():
        group = hierarchy / name
        for directory, _, _ in os.walk(group, topdown=False):
            _remove(Path(directory), deadline=deadline)


def _hierarchies() -> list[Path]:
    return [Path(place) for kind, place, _ in mounts() if kind in ("cgroup", "cgroup2")]


def _give_processors(group: Path) -> None:
    """A new group of the controller cpuset has none of them."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        own = group / name
        if own.exists() and not own.read_text().strip():
            own.write_text((group.parent / name).read_text())


def _members(name: str) -> set[int]:
    """Return the processes of the group; those of pods that end may go with their groups while this looks."""
    found: set[int] = set()
    for hierarchy in _hierarchies():
        for directory, _, _ in os.walk(hierarchy / name):
            with contextlib.suppress(FileNotFoundError):
                listed = (Path(directory) / "cgroup.procs").read_text()
                found |= {int(each) for each in listed.split() if each != "0"}
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _remove(group: Path, *, deadline: float) -> None:
    """Remove one group; the kernel holds it for a moment after its last process."""
    while True:
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL)
        else:
            return
