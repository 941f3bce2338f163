"""What the figures on simulated hosts are taken from: a control plane with an audit log, and Innkeeper's processes.

Everything runs on one loopback address, made of the name, so it stands beside other labs, and needs no root. Whatever was
started is ended when the context ends, and what an earlier run left behind is ended before.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kit import paths, steps
from kit.control_plane import lifecycle
from kit.control_plane.state import Wishes
from kit.daemons import Daemon
from kit.first_guest import objects
from kit.kubectl import Kubectl
from kit.lab import services
from kit.lab.plan import Plan, load

CIDR, FIRST, LAST = "10.200.0.0/16", "10.200.1.0", "10.200.255.254"
HOSTS_PROCESS = "simulated-hosts"


class LoopbackPlan(Plan):
    """A lab's plan without a network: every process is on this machine."""

    @property
    def gateway(self) -> str:
        """Where the operator and the image server listen: all of 127.0.0.0/8 is this machine."""
        return f"127.76.{int(self.tag[:2], 16)}.{int(self.tag[2:4], 16) % 254 + 1}"


@dataclass(frozen=True)
class Stage:
    """What runs."""

    plan: LoopbackPlan
    audit_log: Path

    @property
    def kubectl(self) -> Kubectl:
        """The administrator's kubectl."""
        return Kubectl(self.plan.admin_kubeconfig)


@contextmanager
def standing(name: str, *, hosts: int) -> Iterator[Stage]:
    """Start everything, wait until the hosts and the image are ready, end everything."""
    plan = LoopbackPlan(name=name, hosts=tuple(f"sim-{number}" for number in range(hosts)))
    stage = Stage(plan, paths.run_directory(name) / "audit.log")
    take_down(name)
    try:
        _start(stage)
        yield stage
    except steps.StepError:
        keep_logs(plan)
        raise
    finally:
        with steps.step("ending all of it"):
            take_down(name)


def _start(stage: Stage) -> None:
    plan = stage.plan
    plan.save()
    with lifecycle.one_at_a_time(plan.name):
        lifecycle.up(plan.name, Wishes(audit_log=str(stage.audit_log)))
    with steps.step("starting the operator, the image server and the simulated hosts"):
        services.install(plan)
        images = plan.directory / "images"
        images.mkdir()
        (images / objects.IMAGE_FILE).write_bytes(objects.IDLE_DISK)
        services.start_operator(plan)
        services.start_images(plan, directory=images)
        stage.kubectl.run(
            "apply",
            "-f",
            "-",
            stdin=_listed(objects.infrastructure(plan.hosts, cidr=CIDR, first=FIRST, last=LAST)),
        )  # fmt: skip - one call
        for host in plan.hosts:
            services.join(plan, host, server=None)
        Daemon(HOSTS_PROCESS, plan.directory).start(module("hosts", str(plan.directory)), env=environment())
        for kind in ("host", "image"):
            stage.kubectl.run("wait", "--for=condition=Ready", "--timeout=90s", kind, "--all", deadline=100)


def take_down(name: str) -> None:
    """End and remove what there is of it."""
    if plan := load(name):
        for process in (HOSTS_PROCESS, "images", "operator"):
            Daemon(process, plan.directory).stop(grace=5)
    with lifecycle.one_at_a_time(name):
        lifecycle.down(name)
        shutil.rmtree(paths.run_directory(name), ignore_errors=True)


def keep_logs(plan: Plan) -> None:
    """Copy the logs to where they outlive the bench, and say where."""
    kept = paths.run_root() / f"{plan.name}-logs"
    kept.mkdir(parents=True, exist_ok=True)
    for log in plan.directory.glob("*.log"):
        shutil.copy(log, kept)
    steps.say(f"the logs are kept in {kept}")


def module(name: str, *words: str) -> list[str]:
    """Return the command that runs a module of the bench with Innkeeper's own Python."""
    return [str(paths.venv_program("python")), "-m", f"kit.first_guest.{name}", *words]


def environment() -> dict[str, str]:
    """Return what such a module needs."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(paths.SCRIPTS), str(paths.CHECKOUT / "operator"))),
    }


def _listed(items: list[dict[str, object]]) -> str:
    import json

    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
