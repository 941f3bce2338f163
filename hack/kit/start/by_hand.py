"""The machines of stopped guests started without the agent, all at once: by `virsh create`, or as QEMU's command line.

The guests were started by the agent once before: libvirt's log holds their command lines.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kit import steps
from kit.lab import machines
from kit.one_host import HOST, OneHost
from kit.start import qemu_line

_DEADLINE_S = 300.0
_SCRIPT = Path(__file__).with_name("inside.py")


def virsh_ms(lab: OneHost, guest_ids: Sequence[str]) -> list[float]:
    """Return the milliseconds of `virsh create` for each guest. The agent must not run: it would stop them."""
    wishes = []
    for guest_id in guest_ids:
        name = f"innkeeper-{guest_id}"
        file = lab.plan.host_directory(HOST) / "run" / f"{name}.xml"
        file.write_text(machines.virsh(lab.plan, HOST, "dumpxml", "--inactive", "--security-info", name))
        wishes.append({"virsh": f"/run/{file.name}", "name": name})
    return _at_once(lab, wishes)


def qemu_ms(lab: OneHost, guest_ids: Sequence[str]) -> list[float]:
    """Return the milliseconds of QEMU's own start for each guest."""
    logs = lab.plan.host_directory(HOST) / "var-log-libvirt" / "qemu"
    wishes = []
    for number, guest_id in enumerate(guest_ids):
        words = qemu_line.last_line((logs / f"innkeeper-{guest_id}.log").read_text(errors="replace"))
        monitor = f"/run/by-hand-{number}.sock"
        command = qemu_line.by_hand(words, monitor=monitor, tap=f"by-hand-{number}")
        wishes.append({"monitor": monitor, "command": command})
    return _at_once(lab, wishes)


def _at_once(lab: OneHost, wishes: Sequence[dict[str, Any]]) -> list[float]:
    done = subprocess.run(
        machines.inside(lab.plan, HOST, [sys.executable, _SCRIPT]),
        input=json.dumps(wishes),
        capture_output=True,
        text=True,
        check=False,
        timeout=_DEADLINE_S,
    )
    if done.returncode:
        raise steps.StepError(f"machines do not start by hand: {done.stderr.strip()[-2000:]}")
    found: list[float] = json.loads(done.stdout)
    return found
