"""Ways to reach the demo's guests from this machine: ping and ssh, each tried until it answers.

Host keys are not kept: every guest of the demo is made anew with new ones.
"""

import json
import subprocess
import time

from kit import steps
from kit.demo import manifests
from kit.kubectl import Kubectl
from kit.lab.plan import Plan

REACHED_WITHIN = 180.0
USER = "debian"
_PAUSE = 0.5


def addresses(kubectl: Kubectl) -> dict[str, str]:
    """Return the address in each guest's status, by the guest's name."""
    items = json.loads(kubectl.run("get", "guests", "-o", "json"))["items"]
    return {each["metadata"]["name"]: each["status"]["addresses"][0]["address"] for each in items}


def wait_for_ping(address: str) -> None:
    """Ping until it answers.

    Raises:
        StepError: when it does not in time.
    """
    _until(["ping", "-n", "-c", "1", "-W", "2", address], what=f"ping {address}")


def wait_for_ssh(plan: Plan, address: str, command: str) -> str:
    """Run a command in the guest, trying until ssh lets us in; return what it prints.

    Raises:
        StepError: when it does not in time.
    """
    return _until([*ssh_command(plan, address), command], what=f"ssh to {address}")


def ssh_command(plan: Plan, address: str) -> list[str]:
    """Return the command that logs in."""
    known = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
    only = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-i", str(manifests.private_key(plan))]
    return ["ssh", *known, *only, f"{USER}@{address}"]


def _until(command: list[str], *, what: str) -> str:
    deadline = time.monotonic() + REACHED_WITHIN
    while True:
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode == 0:
            return done.stdout
        if time.monotonic() > deadline:
            raise steps.StepError(f"{what} got no answer in {REACHED_WITHIN:.0f} s: {done.stderr.strip()}")
        time.sleep(_PAUSE)
