"""Whether KVM runs code here: tried, with a deadline, since a /dev/kvm that opens proves nothing."""

from innkeeper.agent.doctor.finding import Finding, fail, ok, warn
from innkeeper.agent.doctor.look import Joined, Machine
from innkeeper.agent.drivers.libvirt.kvm_probe import why_not_kvm

_TODO = (
    "switch on virtualisation (VT-x, AMD-V) in the firmware, or nested virtualisation where this is a virtual "
    "machine; then: modprobe kvm_intel (or kvm_amd)"
)


async def check(_: Machine, joined: Joined) -> Finding:
    """Run some code under KVM."""
    why = await why_not_kvm()
    if why is None:
        return ok("code runs under KVM")
    if joined.orders is not None and joined.orders.allow_emulation:
        return warn(
            f"KVM cannot be used ({why}); guests are emulated, slowly, as the Host allows", todo=_TODO
        )
    return fail(f"KVM cannot be used: {why}", todo=f"{_TODO}; for trials set spec.allowEmulation of the Host")
