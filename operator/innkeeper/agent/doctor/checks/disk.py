"""The state directory: its room, and who may enter, read and write it."""

import os
import stat
from pathlib import Path

from innkeeper.agent.doctor.finding import Finding, fail, ok, warn
from innkeeper.agent.doctor.look import Joined, Machine

_GIB = 1024**3
_LITTLE_BYTES, _TOO_LITTLE_BYTES = 10 * _GIB, _GIB
_LITTLE_INODES = 10_000


async def room(machine: Machine, _: Joined) -> Finding:
    """Look at how much room is left for guests and images."""
    place = _nearest(machine.paths.root)
    found = os.statvfs(place)
    free, inodes = found.f_bavail * found.f_frsize, found.f_favail
    seen = f"{free / _GIB:.1f} GiB free for {machine.paths.root}"
    todo = "make room, or mount a larger file system there (or --state-dir elsewhere)"
    if free < _TOO_LITTLE_BYTES:
        return fail(seen, todo=todo)
    if free < _LITTLE_BYTES:
        return warn(seen, todo=todo)
    if found.f_files > 0 and inodes < _LITTLE_INODES:
        return warn(f"{seen}, but room for {inodes} files only", todo=todo)
    return ok(seen)


async def rights(machine: Machine, _: Joined) -> Finding:
    """Look at who may do what in the state directory: QEMU passes through it, and nobody else writes."""
    root = machine.paths.root
    if not root.exists():
        return ok(f"{root} will be made")
    mode, owner = root.stat().st_mode, root.stat().st_uid
    if not stat.S_ISDIR(mode):
        return fail(f"{root} is no directory", todo="move it away")
    if owner != os.geteuid():
        return fail(f"{root} belongs to the user {owner}", todo=f"run this as root, or: chown root: {root}")
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        return fail(f"others may write in {root}", todo=f"chmod 711 {root}, and look at what lies there")
    if closed := [str(each) for each in (root, *root.parents) if not each.stat().st_mode & stat.S_IXOTH]:
        return fail(
            f"QEMU, which is another user, cannot enter {closed[-1]}",
            todo=f"chmod o+x {' '.join(closed)}",
        )
    return ok(f"{root} belongs to this user, and QEMU can pass")


def _nearest(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if each.exists())
