"""`make demo` under a name of its own, so that it stands beside a person's, and as a reader of the documents sees it.

A reader's folder has links to what the checkout has, and `.run/demo` in it, as pages say. What sets a machine up
(packages, Python, the guest image) is not run: that was done before any test could run.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from kit import paths
from kit.kubectl import Kubectl
from tests.kit import demo_state, documents
from tests.kit.waiting import until

LAB = "documents"
ENVIRONMENT = {"INNKEEPER_LAB": LAB, "INNKEEPER_LAB_SUBNET": "10.79.0.0/24"}
KNOWN_S = 180
HOSTS = ("host-a", "host-b")
_SET_UP = ("hack/system-packages", "hack/python-env", "hack/guest-image")


@dataclass(frozen=True)
class RunningDemo:
    """The demo that runs: a reader's folder and environment, and what it held when it was new."""

    directory: Path
    environment: dict[str, str]
    start: demo_state.DemoState

    def restore(self) -> None:
        """Bring it back to its start, processes that a page left stopped among it."""
        if _done("hack/lab", "status").returncode:
            _run("hack/lab", "apiserver", "start")
            for host in HOSTS:
                _run("hack/lab", "agent", "start", host)
            _run("hack/lab", "operator", "start")
        self.start.restore()

    def hears_its_hosts(self) -> None:
        """Wait until the operator knows what hosts hold: it looks three times in a minute before it says so."""

        def is_known() -> bool:
            asked = subprocess.run(
                ["kubectl", "guest", "orphans", "--all-namespaces"],
                env=os.environ | self.environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            return asked.returncode == 0

        until(is_known, what="the operator to know what hosts hold", within_s=KNOWN_S)


def up(directory: Path) -> RunningDemo:
    """Start the demo as `make demo` does; a reader's folder is made of `directory`."""
    documents.reader_folder(directory)
    (directory / ".run").mkdir()
    (directory / ".run" / "demo").symlink_to(paths.run_directory(LAB))
    for script in scripts():
        _run(script)
    kubeconfig = directory / ".run" / "demo" / "kubeconfig"
    environment = ENVIRONMENT | {
        "KUBECONFIG": str(kubeconfig),
        "PATH": f"{directory / '.venv' / 'bin'}:{os.environ['PATH']}",
    }
    return RunningDemo(directory, environment, demo_state.read(Kubectl(kubeconfig)))


def down() -> None:
    """End it, in whatever state it is; it need not be there."""
    _run("hack/lab", "down")


def scripts() -> list[str]:
    """Return what `make demo` runs, without what sets a machine up."""
    makefile = (paths.CHECKOUT / "Makefile").read_text()
    recipe = re.search(r"^demo:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe, "the Makefile has no target demo"
    every = [line.strip() for line in recipe[1].splitlines()]
    return [each for each in every if not each.startswith(_SET_UP)]


def _run(*command: str) -> None:
    done = _done(*command)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"


def _done(*command: str) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, str(paths.CHECKOUT / command[0]), *command[1:]]
    return subprocess.run(
        script, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False
    )
