"""QEMU's command line as libvirt logged it, made fit to be started by hand. Pure.

libvirt hands QEMU open files (monitor, guest agent, tap, log) and starts it stopped; by hand the same machine has a
monitor on a socket, makes its tap itself and runs at once. Everything else stays word for word.
"""

import json
import shlex

from kit import steps

_STARTS = ": starting up libvirt version"
_MONITOR = "socket,id=charmonitor,"


def last_line(log: str) -> list[str]:
    """Return the words of the newest command line in a domain's log.

    Raises:
        StepError: when there is none.
    """
    _, found, newest = log.rpartition(_STARTS)
    lines = newest.splitlines()[1:]
    whole = []
    for line in lines:
        whole.append(line.removesuffix("\\"))
        if not line.endswith("\\"):
            break
    words = shlex.split(" ".join(whole))
    # Its environment stands before the program.
    while words and "=" in words[0]:
        words.pop(0)
    if not found or not words:
        raise steps.StepError("libvirt's log of the machine holds no command line of QEMU")
    return words


def by_hand(words: list[str], *, monitor: str, tap: str) -> list[str]:
    """Return the command line that needs nothing of libvirt; its card is the device `tap`."""
    program, options = words[0], words[1:]
    command = [program]
    while options:
        option = options.pop(0)
        values = [options.pop(0)] if options and not options[0].startswith("-") else []
        command += _adapted(option, values, monitor=monitor, tap=tap)
    return command


def _adapted(option: str, values: list[str], *, monitor: str, tap: str) -> list[str]:
    value = values[0] if values else ""
    match option:
        case "-S" | "-add-fd":
            return []
        case "-object" if "masterKey" in value:
            return []
        case "-chardev":
            return [option, _channel(value, monitor=monitor)]
        case "-netdev":
            card = json.loads(value)
            return [option, f"tap,id={card['id']},ifname={tap},script=no,downscript=no"]
    return [option, *values]


def _channel(value: str, *, monitor: str) -> str:
    if value.startswith(_MONITOR):
        return f"{_MONITOR}path={monitor},server=on,wait=off"
    if value.startswith("socket,") and ",fd=" in value:
        # An open file for the guest agent, which nobody talks to here.
        return f"null,{value.split(',')[1]}"
    return ",".join(each for each in value.split(",") if not each.startswith("log"))
