"""What guests write to their consoles: libvirt has virtlogd keep it within bounds, unless its settings say otherwise."""

import asyncio
import re
from urllib.parse import urlsplit

from innkeeper.agent.doctor.finding import Finding, fail, ok, warn
from innkeeper.agent.doctor.look import Joined, Machine

_LINE = re.compile(r"""^[ \t]*stdio_handler[ \t]*=[ \t]*["']?([^"'#\s]*)""", re.MULTILINE)
_MOST_BYTES = 1024**2


async def check(machine: Machine, _: Joined) -> Finding:
    """Read how QEMU writes what it is told to log; libvirt takes the last line of a setting, and `logd` without one."""
    place = machine.qemu_conf
    todo = f'look on the machine itself that no stdio_handler = "file" stands in {place}'
    if urlsplit(machine.libvirt_uri).path != "/system":
        return warn(f"it is not known which settings libvirt at {machine.libvirt_uri} has", todo=todo)
    try:
        text = await asyncio.to_thread(_read, machine)
    except OSError as error:
        return warn(f"libvirt's settings cannot be read: {place}: {error.strerror}", todo=todo)
    handler = (_LINE.findall(text) or ["logd"])[-1]
    if handler != "logd":
        return fail(
            f"stdio_handler is {handler!r} in {place}: any guest can fill the disk through its console",
            todo='set it to "logd", restart libvirtd, and stop and start the guests',
        )
    return ok("virtlogd keeps what guests write to their consoles within bounds")


def _read(machine: Machine) -> str:
    with machine.qemu_conf.open(errors="replace") as file:
        return file.read(_MOST_BYTES)
