"""The programs that an agent runs: libvirt, QEMU, the packet filter, the DHCP server. Each is asked, not only found."""

import shutil
import sys

import msgspec

from innkeeper.agent import programs
from innkeeper.agent.doctor.finding import Finding, fail, ok
from innkeeper.agent.doctor.look import Joined, Machine
from innkeeper.errors import InnkeeperError

_WITHIN_S = 20.0


class _Versions(msgspec.Struct):
    libvirt: int
    hypervisor: int


async def libvirt(machine: Machine, _: Joined) -> Finding:
    """Ask libvirt for its version, in a process of its own: one that hangs is ended."""
    words = ["-m", "innkeeper.agent.drivers.libvirt.versions", machine.libvirt_uri]
    try:
        said = await _run(sys.executable, words, package="python3")
        found = msgspec.json.decode(said, type=_Versions)
    except (InnkeeperError, msgspec.DecodeError) as error:
        why = str(error).rpartition(" refuses: ")[2]
        return fail(
            f"libvirt at {machine.libvirt_uri} does not answer: {why}",
            todo="install libvirt-daemon-system and start it: systemctl enable --now libvirtd",
        )
    return ok(f"libvirt {_version(found.libvirt)}, QEMU {_version(found.hypervisor)}")


async def qemu(_: Machine, __: Joined) -> Finding:
    """Look for QEMU and its tools."""
    tools = {
        "qemu-system-x86_64": "qemu-system-x86",
        "qemu-img": "qemu-utils",
        "setpriv": "util-linux",
        "prlimit": "util-linux",
    }
    if missing := [name for name in tools if shutil.which(name) is None]:
        packages = " ".join(dict.fromkeys(tools[each] for each in missing))
        return fail(f"not installed: {', '.join(missing)}", todo=f"apt-get install {packages}")
    return await _says("qemu-img", ["--version"], package="qemu-utils")


async def packet_filter(_: Machine, __: Joined) -> Finding:
    """Read the packet filter's tables, which also needs the right to do so."""
    try:
        await _run("nft", ["list", "tables"], package="nftables")
    except InnkeeperError as error:
        return fail(
            f"the packet filter cannot be read: {error.message}",
            todo="apt-get install nftables, and run this, as the agent, as root",
        )
    return ok("nft answers")


async def dhcp(_: Machine, __: Joined) -> Finding:
    """Look for the DHCP server."""
    return await _says("dnsmasq", ["--version"], package="dnsmasq-base")


async def _says(program: str, words: list[str], *, package: str) -> Finding:
    try:
        said = await _run(program, words, package=package)
    except InnkeeperError as error:
        return fail(error.message, todo=f"apt-get install {package}")
    lines = said.decode(errors="replace").splitlines()
    return ok(lines[0][:80] if lines else program)


async def _run(program: str, words: list[str], *, package: str) -> bytes:
    return await programs.run(program, words, package=package, failure=InnkeeperError, deadline_s=_WITHIN_S)


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
