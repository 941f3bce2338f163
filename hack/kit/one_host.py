"""A lab with one host and the idle image: for benches that start real guests.

It has a name and a subnet of its own and is ended in any case. What the API server saw is read from its audit log.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kit import paths, steps
from kit.first_guest import objects, writes
from kit.kubectl import Kubectl
from kit.lab import plan

HOST = "host-a"
# The idle guest ignores its power button; nothing is measured while it is stopped.
STOP_GRACE_S = "0.5"
_READY_REASON = '{.status.conditions[?(@.type=="Ready")].reason}'


@dataclass(frozen=True)
class OneHost:
    """The lab, and what a bench does with its guests."""

    plan: plan.Plan

    @property
    def kubectl(self) -> Kubectl:
        """kubectl, as the administrator."""
        return Kubectl(self.plan.admin_kubeconfig)

    @property
    def audit_log(self) -> Path:
        """Where the API server notes each write."""
        return _audit_log(self.plan.name)

    def apply(self, *items: object) -> None:
        """Apply objects at once."""
        document = {"apiVersion": "v1", "kind": "List", "items": items}
        self.kubectl.run("apply", "-f", "-", stdin=json.dumps(document))

    def wait_for(self, *names: str, reason: str) -> None:
        """Wait until the Ready condition of each guest has this reason."""
        wish = f"--for=jsonpath={_READY_REASON}={reason}"
        self.kubectl.run("wait", wish, "--timeout=90s", "guest", *names, deadline=100)

    def guest_id(self, name: str) -> str:
        """Return a guest's ID."""
        return self.kubectl.run("get", "guest", name, "-o", "jsonpath={.status.id}")

    def order_to_report_ms(self, guest_ids: Sequence[str], *, since: int, given_by: str) -> list[float]:
        """Return the milliseconds from each guest's order to its host's last report, as the API server saw both.

        `since` is a place in the audit log, `given_by` the verb that wrote the order: `create` or `patch`.
        """
        orders: dict[str, datetime] = {}
        reports: dict[str, datetime] = {}
        for event in writes.read(self.audit_log, since=since):
            about = event.get("objectRef", {})
            if about.get("resource") != "assignments":
                continue
            if about.get("subresource") == "status":
                reports[about["name"]] = datetime.fromisoformat(event["requestReceivedTimestamp"])
            elif event["verb"] == given_by:
                orders[about["name"]] = datetime.fromisoformat(event["stageTimestamp"])
        return [(reports[each] - orders[each]).total_seconds() * 1000 for each in guest_ids]

    def agent(self, verb: str) -> None:
        """Start or stop the host's agent; its guests are left alone."""
        _hack_lab("agent", verb, HOST, "--name", self.plan.name)


@contextmanager
def standing(name: str, *, subnet: str) -> Iterator[OneHost]:
    """Have the lab up, with its host and its image Ready."""
    _hack_lab("down", "--name", name)
    with tempfile.TemporaryDirectory(prefix="innkeeper-images-") as images:
        (Path(images) / objects.IMAGE_FILE).write_bytes(objects.IDLE_DISK)
        try:
            with steps.step(f"starting a lab with one host ({subnet})"):
                lab = _up(name, subnet=subnet, images=images)
            yield lab
        finally:
            _hack_lab("down", "--name", name)
            shutil.rmtree(paths.run_directory(name), ignore_errors=True)


def _up(name: str, *, subnet: str, images: str) -> OneHost:
    wishes = ["--hosts", HOST, "--subnet", subnet, "--images", images]
    _hack_lab("up", *wishes, "--audit-log", str(_audit_log(name)), "--name", name)
    found = plan.load(name)
    if found is None:
        raise steps.StepError(f"the lab {name} is not there although it was started")
    lab = OneHost(found)
    prefix = subnet.rpartition(".")[0]
    lab.apply(*objects.infrastructure(found.hosts, cidr=subnet, first=f"{prefix}.100", last=f"{prefix}.199"))
    _hack_lab("join", "--name", name)
    for kind in ("host", "image"):
        lab.kubectl.run("wait", "--for=condition=Ready", "--timeout=120s", kind, "--all", deadline=130)
    return lab


def _audit_log(name: str) -> Path:
    return paths.run_directory(name) / "audit.log"


def _hack_lab(action: str, *words: str) -> None:
    """Run hack/lab; show what it says only when it fails.

    It goes on to its end when the bench is interrupted, so that the `down` that follows finds all that it made.
    """
    command: list[str | Path] = [sys.executable, paths.SCRIPTS / "lab", action, *words]
    environment = {**os.environ, "INNKEEPER_AGENT_STOP_GRACE_S": STOP_GRACE_S}
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        ) as lab,
    ):
        try:
            code = lab.wait()
        except BaseException:
            lab.wait()
            raise
        output.seek(0)
        said = output.read().decode(errors="replace")
    if code:
        raise steps.StepError(f"hack/lab {action} failed:\n{said[-4000:]}")
