"""All checks, in the order in which they are told. To add one: a file in `checks/`, and one line here."""

import asyncio
from collections.abc import Mapping, Sequence

from innkeeper.agent.doctor.checks import clock, console, disk, identity, images, kvm, network, programs
from innkeeper.agent.doctor.finding import Checking, Result, fail
from innkeeper.agent.doctor.look import Joined, Machine, look

WITHIN_S = 90.0  # the probe of KVM boots a kernel

CHECKS: Mapping[str, Checking] = {
    "kvm": kvm.check,
    "libvirt": programs.libvirt,
    "qemu": programs.qemu,
    "consoles": console.check,
    "packet filter": programs.packet_filter,
    "dhcp": programs.dhcp,
    "disk": disk.room,
    "state directory": disk.rights,
    "ports": network.ports,
    "join": identity.join_file,
    "token": identity.token,
    "api server": identity.api_server,
    "clock": clock.check,
    "bridge": network.bridge,
    "image server": images.check,
}


async def examine(machine: Machine, checks: Mapping[str, Checking] = CHECKS) -> Sequence[Result]:
    """Make the checks at the same time, each within a deadline; one that breaks is a finding like others."""
    joined = await look(machine)
    return await asyncio.gather(*(_made(name, check, machine, joined) for name, check in checks.items()))


async def _made(name: str, check: Checking, machine: Machine, joined: Joined) -> Result:
    try:
        async with asyncio.timeout(WITHIN_S):
            return Result(name, await check(machine, joined))
    except TimeoutError:
        return Result(
            name, fail(f"this took more than {WITHIN_S:.0f} s", todo="look what hangs on this machine")
        )
    except Exception as error:  # noqa: BLE001 - whatever a broken machine brings up, the other checks are told
        seen = f"this could not be looked at: {type(error).__name__}: {error}"
        return Result(name, fail(seen, todo="run this as root; if it stays, report it with this line"))
