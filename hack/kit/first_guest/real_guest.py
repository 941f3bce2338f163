"""Real guests, one after the other, on one host of a lab: the agent's own time, libvirt's, and QEMU's by hand.

The agent tells in its log where the time of a build went; the audit log tells how long it was from the order to the
report. The same QEMU is then started by hand on the same disks, once the guest was stopped. The lab has a name and a
subnet of its own and is ended in any case.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kit import paths, steps
from kit.first_guest import objects, qemu_line, writes
from kit.kubectl import Kubectl
from kit.lab import machines, plan, services

NAME = "bench-guest"
SUBNET = "10.76.0.0/24"
HOST = "host-a"
MONITOR = "/run/by-hand.sock"
# The idle guest ignores its power button; nothing is measured while it is stopped.
STOP_GRACE_S = "0.5"
_READY_REASON = '{.status.conditions[?(@.type=="Ready")].reason}'


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
    with _lab() as lab:
        kubectl = Kubectl(lab.admin_kubeconfig)
        with steps.step(f"building {runs} real guests, and the same by hand"):
            _one(lab, kubectl, "keeps-the-image")
            return [_measured(lab, kubectl, f"first-{number}") for number in range(runs)]


@contextmanager
def _lab() -> Iterator[plan.Plan]:
    _hack_lab("down")
    with tempfile.TemporaryDirectory() as images:
        (Path(images) / objects.IMAGE_FILE).write_bytes(objects.IDLE_DISK)
        try:
            with steps.step(f"starting a lab with one host ({SUBNET})"):
                lab = _up(images)
            yield lab
        finally:
            _hack_lab("down")
            shutil.rmtree(paths.run_directory(NAME), ignore_errors=True)


def _up(images: str) -> plan.Plan:
    _hack_lab("up", "--hosts", HOST, "--subnet", SUBNET, "--images", images, "--audit-log", str(_audit_log()))
    lab = plan.load(NAME)
    if lab is None:
        raise steps.StepError(f"the lab {NAME} is not there although it was started")
    kubectl = Kubectl(lab.admin_kubeconfig)
    prefix = SUBNET.rpartition(".")[0]
    items = objects.infrastructure(lab.hosts, cidr=SUBNET, first=f"{prefix}.100", last=f"{prefix}.199")
    _apply(kubectl, *items)
    _hack_lab("join")
    for kind in ("host", "image"):
        kubectl.run("wait", "--for=condition=Ready", "--timeout=120s", kind, "--all", deadline=130)
    return lab


def _measured(lab: plan.Plan, kubectl: Kubectl, name: str) -> Run:
    run = _one(lab, kubectl, name)
    kubectl.run("delete", "guest", name, "--timeout=60s", deadline=70)
    return run


def _one(lab: plan.Plan, kubectl: Kubectl, name: str) -> Run:
    _apply(kubectl, objects.guest(name))
    _wait_for(kubectl, name, reason="Running")
    guest_id = kubectl.run("get", "guest", name, "-o", "jsonpath={.status.id}")
    whole_ms, built = _order_to_report_ms(guest_id), _built(lab, guest_id)
    _apply(kubectl, objects.guest(name, power="Stopped"))
    _wait_for(kubectl, name, reason="Stopped")
    qemu_ms = _by_hand(lab, guest_id)
    return Run(
        whole_ms=whole_ms,
        agent_ms=built["own_ms"],
        image_ms=built["image_ms"],
        libvirt_ms=built["driver_ms"],
        qemu_ms=qemu_ms,
    )


def _built(lab: plan.Plan, guest_id: str) -> dict[str, float]:
    """Return what the agent logged when the guest was built."""
    for line in services.agent(lab, HOST).log_file.read_text(errors="replace").splitlines():
        if '"guest_built"' in line and guest_id in line:
            found: dict[str, float] = json.loads(line)
            return found
    raise steps.StepError(f"the agent's log does not tell that guest {guest_id} was built")


def _order_to_report_ms(guest_id: str) -> float:
    """Return the milliseconds from the order's creation to the last report so far."""
    seen: dict[str, datetime] = {}
    for event in writes.read(_audit_log()):
        about = event.get("objectRef", {})
        if about.get("resource") == "assignments" and about.get("name") == guest_id:
            moment = "stageTimestamp" if event["verb"] == "create" else "requestReceivedTimestamp"
            seen[event["verb"]] = datetime.fromisoformat(event[moment])
    return (seen["patch"] - seen["create"]).total_seconds() * 1000


def _audit_log() -> Path:
    return paths.run_directory(NAME) / "audit.log"


def _by_hand(lab: plan.Plan, guest_id: str) -> float:
    log = lab.host_directory(HOST) / "var-log-libvirt" / "qemu" / f"innkeeper-{guest_id}.log"
    command = qemu_line.by_hand(qemu_line.last_line(log.read_text(errors="replace")), monitor=MONITOR)
    script = Path(__file__).with_name("by_hand.py")
    inside = machines.inside(lab, HOST, [sys.executable, script, MONITOR, *command])
    done = subprocess.run(inside, capture_output=True, text=True, check=False, timeout=90)
    if done.returncode:
        raise steps.StepError(f"QEMU does not start by hand: {done.stderr.strip()}")
    return float(json.loads(done.stdout)["ms"])


def _wait_for(kubectl: Kubectl, name: str, *, reason: str) -> None:
    kubectl.run(
        "wait", f"--for=jsonpath={_READY_REASON}={reason}", "--timeout=90s", "guest", name, deadline=100
    )


def _apply(kubectl: Kubectl, *items: object) -> None:
    kubectl.run("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


def _hack_lab(action: str, *words: str) -> None:
    """Run hack/lab; show what it says only when it fails. It goes on to its end when the bench is interrupted."""
    command = [sys.executable, str(paths.HACK / "lab"), action, *words, "--name", NAME]
    done = subprocess.run(
        command,
        env={**os.environ, "INNKEEPER_AGENT_STOP_GRACE_S": STOP_GRACE_S},
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    if done.returncode:
        raise steps.StepError(f"hack/lab {action} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
