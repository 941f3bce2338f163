"""Real guests, one after the other, on one host of a lab: the agent's own time, libvirt's, and QEMU's by hand.

The agent tells in its log where the time of a build went; the audit log tells how long it was from the order to the
report. The same QEMU is then started by hand on the same disks, once the guest was stopped.
"""

import json
from dataclasses import dataclass

from kit import one_host, steps
from kit.first_guest import objects
from kit.lab import services
from kit.one_host import HOST, OneHost
from kit.start import by_hand

NAME = "bench-guest"
SUBNET = "10.76.0.0/24"


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where the time of one guest went, in milliseconds."""

    whole_ms: float
    """From the Assignment's creation to the agent's report of Running, both as the API server saw them."""
    agent_ms: float
    image_ms: float
    libvirt_ms: float
    qemu_ms: float


def measure(*, runs: int) -> list[Run]:
    """Return the figures of so many guests, after a first one that stays: it keeps the image on the host."""
    with (
        one_host.standing(NAME, subnet=SUBNET) as lab,
        steps.step(f"building {runs} real guests, and the same by hand"),
    ):
        _one(lab, "keeps-the-image")
        return [_measured(lab, f"first-{number}") for number in range(runs)]


def _measured(lab: OneHost, name: str) -> Run:
    run = _one(lab, name)
    lab.kubectl.run("delete", "guest", name, "--timeout=60s", deadline=70)
    return run


def _one(lab: OneHost, name: str) -> Run:
    lab.apply(objects.guest(name))
    lab.wait_for(name, reason="Running")
    guest_id = lab.guest_id(name)
    (whole_ms,) = lab.order_to_report_ms([guest_id], since=0, given_by="create")
    built = _built(lab, guest_id)
    lab.apply(objects.guest(name, power="Stopped"))
    lab.wait_for(name, reason="Stopped")
    (qemu_ms,) = by_hand.qemu_ms(lab, [guest_id])
    return Run(
        whole_ms=whole_ms,
        agent_ms=built["own_ms"],
        image_ms=built["image_ms"],
        libvirt_ms=built["driver_ms"],
        qemu_ms=qemu_ms,
    )


def _built(lab: OneHost, guest_id: str) -> dict[str, float]:
    """Return what the agent logged when the guest was built."""
    for line in services.agent(lab.plan, HOST).log_file.read_text(errors="replace").splitlines():
        if '"guest_built"' in line and guest_id in line:
            found: dict[str, float] = json.loads(line)
            return found
    raise steps.StepError(f"the agent's log does not tell that guest {guest_id} was built")
