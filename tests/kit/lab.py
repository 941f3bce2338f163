"""A running lab as tests see it: apply objects, read them, look at QEMU's processes, break things.

It drives `hack/lab`, so what it starts is exactly what a person starts. Waiting is always for a condition with a
deadline.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from kit import paths
from kit.kubectl import Kubectl
from kit.lab import machines, plan, query, services
from tests.kit.applied import Applied
from tests.kit.waiting import NotSoError, until

__all__ = ["IDLE_DISK", "Lab", "NotSoError", "guest", "idle_image", "until"]

# `sti; hlt` in a loop, and the two bytes that make it a boot sector: a guest that boots at once and stays.
IDLE_DISK = b"\xfb\xf4\xeb\xfd".ljust(510, b"\0") + b"\x55\xaa" + bytes(1024 * 1024 - 512)
PLUGIN_DEADLINE_S = 400.0  # beyond every --timeout that tests give


def idle_image(directory: Path) -> str:
    """Write the idle disk there and return its digest."""
    (directory / "idle.raw").write_bytes(IDLE_DISK)
    return f"sha256:{hashlib.sha256(IDLE_DISK).hexdigest()}"


@dataclass(frozen=True)
class Lab(Applied):
    """One lab that runs."""

    name: str

    @property
    def plan(self) -> plan.Plan:
        """What was asked for."""
        found = plan.load(self.name)
        assert found is not None, f"lab {self.name} does not run"
        return found

    @property
    def kubectl(self) -> Kubectl:
        """The administrator's kubectl."""
        return Kubectl(self.plan.admin_kubeconfig)

    def hack(self, script: str, *words: str) -> str:
        """Run one of the scripts for this lab and return what it prints."""
        command = [sys.executable, str(paths.SCRIPTS / script), *words, "--name", self.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{script} {' '.join(words)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def plugin(self, *words: str, deadline_s: float = PLUGIN_DEADLINE_S) -> subprocess.CompletedProcess[str]:
        """Run `kubectl guest` as a person does: kubectl finds it on PATH."""
        programs = str(paths.venv_program("kubectl-guest").parent)
        return subprocess.run(
            [self.kubectl.command()[0], "guest", f"--kubeconfig={self.kubectl.kubeconfig}", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=deadline_s,
            env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        )

    def qemu_pids(self, guest_id: str) -> list[int]:
        """Return every QEMU of a guest, on all hosts: two would be the worst of faults."""
        found = []
        for host in self.plan.hosts:
            for pid in machines.processes(self.plan, host):
                try:
                    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                except OSError:
                    continue
                if b"qemu-system" in words[0] and any(guest_id.encode() in word for word in words):
                    found.append(pid)
        return found

    def qemu_pid(self, guest_id: str) -> int:
        """Return the one QEMU of a guest."""
        pids = self.qemu_pids(guest_id)
        assert len(pids) == 1, f"guest {guest_id} has {len(pids)} QEMUs: {pids}"
        return pids[0]

    def kill_qemu(self, guest_id: str) -> int:
        """Kill the QEMU of a guest, as a crash would; return its pid."""
        pid = self.qemu_pid(guest_id)
        os.kill(pid, signal.SIGKILL)
        return pid

    def stream_pids(self, host: str) -> list[int]:
        """Return the streaming processes of a host: none, or one."""
        found = []
        for pid in machines.processes(self.plan, host):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[1:4] == [b"-m", b"innkeeper", b"stream"]:
                found.append(pid)
        return found

    def forget_images(self) -> None:
        """Remove from all hosts what no stream is made of at the moment."""
        for host in self.plan.hosts:
            for path in (self.plan.host_directory(host) / "var-lib-innkeeper" / "images").glob("[0-9a-f]*"):
                path.unlink()

    def console(self, name: str) -> str:
        """Return what a guest wrote to its console."""
        directory = self.plan.host_directory(self.host_of(name)) / "var-lib-innkeeper" / "guests"
        return (directory / self.guest_id(name) / "console.log").read_text(errors="replace")

    def reboot(self, host: str) -> None:
        """Take a host's power, its guests' too, and start it again with its agent."""
        machines.down(self.plan, host)
        self._forget_network(host)
        machines.up(self.plan, host)
        services.start_agent(self.plan, host)

    def _forget_network(self, host: str) -> None:
        """Remove what the agent made: the network namespace of a lab's host outlives it, as no kernel does."""
        namespace = self.plan.namespace(host)
        for name in self.links(host):
            if name.startswith(("ik", "innkeeper")):
                # A cable goes with either of its ends.
                subprocess.run(
                    ["ip", "-n", namespace, "link", "delete", name], capture_output=True, check=False
                )
        subprocess.run(["ip", "netns", "exec", namespace, "nft", "flush", "ruleset"], check=True)

    def links(self, host: str, *only: str) -> list[str]:
        """Return the names of a host's links; `only` are more words for `ip link show`."""
        command = ["ip", "-n", self.plan.namespace(host), "-j", "link", "show", *only]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return [str(each["ifname"]) for each in json.loads(done.stdout or "[]") if "ifname" in each]

    def restart_agent(self, host: str) -> None:
        """Kill a host's agent and start it again."""
        services.agent(self.plan, host).stop(grace=0)
        services.start_agent(self.plan, host)

    def dropped(self, host: str, guest_id: str) -> dict[str, float]:
        """Return how many frames of a guest its host dropped, by why, as its agent's metrics say."""
        address = f"http://{self.plan.host_address(host)}:{services.AGENT_METRICS}/metrics"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(address, timeout=5) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        return {
            sample.labels["why"]: sample.value
            for family in families
            if family.name == "innkeeper_agent_guest_frames_dropped"
            for sample in family.samples
            if sample.labels["guest"] == guest_id
        }

    def restart_operator(self) -> None:
        """Kill the operator and start it again."""
        services.daemon(self.plan, "operator").stop(grace=0)
        services.start_operator(self.plan, *query.arguments(self.plan))

    def log(self, name: str, host: str | None = None) -> str:
        """Return the end of a process's log."""
        daemon = services.agent(self.plan, host) if host else services.daemon(self.plan, name)
        return daemon.log_tail(80)


def guest(name: str, **spec: Any) -> dict[str, Any]:
    """Return a Guest of the idle image; `spec` adds or replaces fields."""
    usual = {
        "resources": {"cpu": "100m", "memory": "64Mi", "disk": "64Mi"},
        "image": {"name": "idle"},
        "interfaces": [{"name": "eth0", "pool": "e2e"}],
    }
    return {
        "apiVersion": "innkeeper.dev/v1alpha1",
        "kind": "Guest",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {**usual, **spec},
    }
