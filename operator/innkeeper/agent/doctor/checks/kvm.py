"""Whether KVM runs code here: tried, with a deadline, since a /dev/kvm that opens proves nothing.

It is tried as this user, who is root. Guests run as QEMU's user, whom libvirt names.
"""

import os
import pwd
import stat
import sys
from pathlib import Path

import msgspec

from innkeeper.agent import programs
from innkeeper.agent.doctor.finding import Finding, fail, ok, warn
from innkeeper.agent.doctor.look import Joined, Machine
from innkeeper.agent.drivers.libvirt.kvm_probe import why_not_kvm
from innkeeper.errors import InnkeeperError

DEVICE = Path("/dev/kvm")
_WITHIN_S = 20.0
_SWITCH_ON = (
    "switch on virtualisation (VT-x, AMD-V) in the firmware, or nested virtualisation where this is a virtual "
    "machine; then: modprobe kvm_intel (or kvm_amd)"
)
_LET_QEMU = (
    f"on the machine itself: chgrp kvm {DEVICE}; chmod 0660 {DEVICE}; and look that the user of "
    "/etc/libvirt/qemu.conf is in the group kvm"
)


class _User(msgspec.Struct):
    uid: int | None = None
    gid: int | None = None


async def check(machine: Machine, joined: Joined) -> Finding:
    """Run some code under KVM, then look whether guests may use it too."""
    why = await why_not_kvm()
    if why is None:
        user = await _qemu_user(machine.libvirt_uri)
        return _may_guests(user.uid, user.gid)
    if joined.orders is not None and joined.orders.allow_emulation:
        return warn(
            f"KVM cannot be used ({why}); guests are emulated, slowly, as the Host allows", todo=_SWITCH_ON
        )
    return fail(
        f"KVM cannot be used: {why}", todo=f"{_SWITCH_ON}; for trials set spec.allowEmulation of the Host"
    )


def _may_guests(uid: int | None, gid: int | None) -> Finding:
    """Compare the device's rights with QEMU's user. A libvirt that names none is told of by another check."""
    if uid is None or gid is None:
        return ok("code runs under KVM")
    device = DEVICE.stat()
    name, groups = _groups(uid, gid)
    if groups is None:
        groups = {device.st_gid}
    if _has_list() or _opens(device, uid, groups):
        return ok("code runs under KVM")
    return fail(
        f"code runs under KVM as this user, but {DEVICE} ({stat.filemode(device.st_mode)}, {device.st_uid}:"
        f"{device.st_gid}) is closed to QEMU's, {name} {uid}:{gid}: no guest starts",
        todo=_LET_QEMU,
    )


async def _qemu_user(uri: str) -> _User:
    words = ["-m", "innkeeper.agent.drivers.libvirt.qemu_user", uri]
    try:
        said = await programs.run(
            sys.executable, words, package="python3", failure=InnkeeperError, deadline_s=_WITHIN_S
        )
        return msgspec.json.decode(said, type=_User)
    except (InnkeeperError, msgspec.DecodeError):
        return _User()


def _groups(uid: int, gid: int) -> tuple[str, set[int] | None]:
    """Return the user's name and all groups that libvirt gives its QEMUs; no groups in a pod, which knows no users."""
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return "the user", None
    return user.pw_name, {gid, *os.getgrouplist(user.pw_name, user.pw_gid)}


def _has_list() -> bool:
    """Tell whether the device has an access control list: those are not read here."""
    try:
        return bool(os.getxattr(DEVICE, "system.posix_acl_access"))
    except OSError:
        return False


def _opens(device: os.stat_result, uid: int, groups: set[int]) -> bool:
    """Tell whether a user may read and write it."""
    both = 0o6
    if uid in (0, device.st_uid):
        return uid == 0 or device.st_mode >> 6 & both == both
    shift = 3 if device.st_gid in groups else 0
    return device.st_mode >> shift & both == both
