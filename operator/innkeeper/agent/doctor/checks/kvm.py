"""Whether KVM runs code here: tried, with a deadline, since a /dev/kvm that opens proves nothing.

Tried as this user; libvirt is asked for QEMU's, whom guests run as.
"""

import sys

import msgspec

from innkeeper.agent import programs
from innkeeper.agent.doctor.finding import Finding, fail, ok, warn
from innkeeper.agent.doctor.look import Joined, Machine
from innkeeper.agent.drivers.libvirt.kvm_probe import why_not_kvm
from innkeeper.errors import InnkeeperError

_WITHIN_S = 20.0
_SWITCH_ON = (
    "switch on virtualisation (VT-x, AMD-V) in the firmware, or nested virtualisation where this is a virtual "
    "machine; then: modprobe kvm_intel (or kvm_amd)"
)
_LET_QEMU = (
    "let QEMU's user open /dev/kvm: chgrp kvm /dev/kvm; chmod g+rw /dev/kvm; and look that the user of "
    "/etc/libvirt/qemu.conf (libvirt-qemu) is in the group kvm"
)


class _Offer(msgspec.Struct, rename="camel"):
    why_not: str | None


async def check(machine: Machine, joined: Joined) -> Finding:
    """Run some code under KVM, then ask libvirt whether guests get it too."""
    why, todo = await why_not_kvm(), _SWITCH_ON
    if why is None:
        why, todo = await _why_not_offered(machine.libvirt_uri), _LET_QEMU
    if why is None:
        return ok("code runs under KVM")
    if joined.orders is not None and joined.orders.allow_emulation:
        return warn(f"KVM cannot be used ({why}); guests are emulated, slowly, as the Host allows", todo=todo)
    return fail(f"KVM cannot be used: {why}", todo=f"{todo}; for trials set spec.allowEmulation of the Host")


async def _why_not_offered(uri: str) -> str | None:
    """Ask libvirt in a process of its own; one that does not answer is told of by another check."""
    words = ["-m", "innkeeper.agent.drivers.libvirt.kvm_offer", uri]
    try:
        said = await programs.run(
            sys.executable, words, package="python3", failure=InnkeeperError, deadline_s=_WITHIN_S
        )
        return msgspec.json.decode(said, type=_Offer).why_not
    except (InnkeeperError, msgspec.DecodeError):
        return None
