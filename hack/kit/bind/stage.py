"""One control plane, filled once and restored before each repeat, so that all repeats begin with the same objects.

Its etcd is copied while it stands still. Operator, image server and kube-scheduler run as processes of their own, on
loopback addresses; whatever was started is ended.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kit import paths, steps
from kit.control_plane import lifecycle, programs
from kit.control_plane.state import ControlPlane, Wishes
from kit.daemons import Daemon
from kit.first_guest.objects import IDLE_DISK, IMAGE_FILE, infrastructure
from kit.first_guest.stage import LoopbackPlan, keep_logs
from kit.kubectl import Kubectl
from kit.lab import identities, services

OPERATOR = "operator"
_TRIES = 5
# Nodes are born ready; no controller puts a service account into the pods' namespace.
CONTROLLERS = "namespace-controller"
API_SERVER_ARGUMENTS = ("--disable-admission-plugins=TaintNodesByCondition,ServiceAccount",)
CIDR, FIRST, LAST = "10.200.0.0/16", "10.200.1.0", "10.200.255.254"


@dataclass(frozen=True)
class Stage:
    """What stands."""

    plan: LoopbackPlan
    plane: ControlPlane

    @property
    def admin(self) -> Path:
        """The administrator's way in."""
        return self.plan.admin_kubeconfig

    @property
    def operator_kubeconfig(self) -> Path:
        """The operator's way in."""
        return identities.write_kubeconfig(self.plan, self._account(identities.OPERATOR))

    def _account(self, name: str) -> identities.Account:
        account = next(each for each in identities.accounts(self.plan) if each.name == name)
        account.renew(Kubectl(self.admin))
        return account

    def start_operator(self, **settings: str) -> Daemon:
        """Start the operator alone, without anybody who starts it again; settings go by the environment."""
        daemon = Daemon(OPERATOR, self.plan.directory)
        command: list[str | Path] = [
            paths.venv_program("innkeeper"),
            "operator",
            "--kubeconfig",
            self.operator_kubeconfig,
            "--images-url",
            f"http://{self.plan.gateway}:{services.IMAGES_PORT}",
            "--listen",
            self.plan.gateway,
            "--no-leader-election",
            "--log-level",
            "warning",
        ]  # fmt: skip - a flag and its value share a line
        wanted = {"host_silence_s": "3600", **settings}
        daemon.start(command, env={f"INNKEEPER_{name.upper()}": value for name, value in wanted.items()})
        return daemon

    def start_scheduler(self) -> Daemon:
        """Start kube-scheduler, its client's limits raised out of the way."""
        config = self.plan.directory / "kube-scheduler.yaml"
        config.write_text(
            "apiVersion: kubescheduler.config.k8s.io/v1\n"
            "kind: KubeSchedulerConfiguration\n"
            "leaderElection: {leaderElect: false}\n"
            f"clientConnection: {{kubeconfig: {self.admin}, qps: 10000, burst: 10000}}\n"
        )
        daemon = Daemon(programs.SCHEDULER, self.plan.directory)
        daemon.start([programs.scheduler(), f"--config={config}", "--secure-port=0"])
        return daemon

    def stop_plane(self) -> None:
        """Stop etcd and the API server."""
        lifecycle.stop(self.plane)

    def start_plane(self) -> None:
        """Start them again; etcd's port may be in use for a moment by somebody who looked for a free one."""
        for left in reversed(range(_TRIES)):
            try:
                lifecycle.start(self.plane)
            except lifecycle.PortTakenError:
                if not left:
                    raise
                time.sleep(2)
            else:
                return

    def keep(self, name: str) -> None:
        """Copy what the API server holds, under a name."""
        self.stop_plane()
        shutil.copytree(self._data, self._copy(name))
        self.start_plane()

    def restore(self, name: str) -> None:
        """Have the API server hold again what was kept under a name."""
        self.stop_plane()
        shutil.rmtree(self._data)
        shutil.copytree(self._copy(name), self._data)
        self.start_plane()

    @property
    def _data(self) -> Path:
        return self.plane.directory / "etcd-data"

    def _copy(self, name: str) -> Path:
        return self.plan.directory / f"kept-{name}"


@contextmanager
def standing(name: str) -> Iterator[Stage]:
    """Start a control plane with Innkeeper installed, and the image server; end all of it."""
    plan = LoopbackPlan(name=name, hosts=("none",))
    take_down(name)
    try:
        plan.save()
        with lifecycle.one_at_a_time(name):
            # An address of its own: no other process takes its port while it is down to be restored.
            wishes = Wishes(
                listen=plan.gateway, controllers=CONTROLLERS, api_server_arguments=API_SERVER_ARGUMENTS
            )
            plane, _ = lifecycle.up(name, wishes)
        services.install(plan)
        images = plan.directory / "images"
        images.mkdir()
        (images / IMAGE_FILE).write_bytes(IDLE_DISK)
        services.start_images(plan, directory=images)
        objects = infrastructure((), cidr=CIDR, first=FIRST, last=LAST)
        Kubectl(plan.admin_kubeconfig).apply_objects(objects)
        yield Stage(plan, plane)
    except BaseException:
        keep_logs(plan)
        raise
    finally:
        take_down(name)


def take_down(name: str) -> None:
    """End and remove what there is of it: every process that was started there, whichever bench started it."""
    directory = LoopbackPlan(name=name, hosts=("none",)).directory
    for pid_file in sorted(directory.glob("*.pid")):
        Daemon(pid_file.stem, directory).stop(grace=5)
    with lifecycle.one_at_a_time(name):
        lifecycle.down(name)
        shutil.rmtree(paths.run_directory(name), ignore_errors=True)


def wait_for(check: Callable[[], bool], *, what: str, within_s: float, by: Daemon) -> None:
    """Wait for what a process does.

    Raises:
        StepError: it does not come in time, or the process ends.
    """
    deadline = time.monotonic() + within_s
    while not check():
        if not by.alive():
            raise steps.StepError(f"{by.name} ended; its log says:\n{by.log_tail()}")
        if time.monotonic() > deadline:
            raise steps.StepError(f"waited {within_s:.0f} s for {what}")
        time.sleep(0.25)
