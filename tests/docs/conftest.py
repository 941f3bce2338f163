"""The demo that all documents start from: `make demo` under a name of its own, so that it stands beside a person's.

It runs in a folder whose entries are links to the checkout, with `.run/demo` in it, as pages say. After each page what it
left is removed, and what it took away is brought back.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kit import paths
from kit.kubectl import Kubectl

from tests.kit import demo_state

LAB = "documents"
SUBNET = "10.79.0.0/24"
ENVIRONMENT = {"INNKEEPER_LAB": LAB, "INNKEEPER_LAB_SUBNET": SUBNET}


@dataclass(frozen=True)
class Demo:
    """The demo that runs: a reader's folder and environment, and what it held when it was new."""

    directory: Path
    environment: dict[str, str]
    start: demo_state.DemoState

    def restore(self) -> None:
        """Bring it back to its start, processes that a page left stopped among it."""
        if not _succeeds("hack/lab", "status"):
            _run("hack/lab", "apiserver", "start")
            for host in ("host-a", "host-b"):
                _run("hack/lab", "agent", "start", host)
            _run("hack/lab", "operator", "start")
        self.start.restore()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Start the demo as `make demo` does."""
    assert os.geteuid() == 0, "the demo makes network namespaces: run this as root"
    directory = tmp_path_factory.mktemp("reader") / "innkeeper"
    directory.mkdir()
    for entry in paths.CHECKOUT.iterdir():
        if entry.name not in (".run", ".git"):
            (directory / entry.name).symlink_to(entry)
    (directory / ".run").mkdir()
    (directory / ".run" / "demo").symlink_to(paths.run_directory(LAB))
    kept = bool(os.environ.get("INNKEEPER_KEEP_LAB"))
    if not kept:
        _run("hack/lab", "down")
    try:
        for script in demo_scripts():
            _run(script)
        kubeconfig = directory / ".run" / "demo" / "kubeconfig"
        environment = ENVIRONMENT | {
            "KUBECONFIG": str(kubeconfig),
            "PATH": f"{directory / '.venv' / 'bin'}:{os.environ['PATH']}",
        }
        yield Demo(directory, environment, demo_state.read(Kubectl(kubeconfig)))
    finally:
        if not kept:
            _run("hack/lab", "down")


def demo_scripts() -> list[str]:
    """Return what `make demo` runs, without what sets this machine up: that was done before any test could run."""
    makefile = (paths.CHECKOUT / "Makefile").read_text()
    recipe = re.search(r"^demo:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe, "the Makefile has no target demo"
    scripts = [line.strip() for line in recipe[1].splitlines()]
    set_up = ("hack/system-packages", "hack/python-env", "hack/guest-image")
    return [each for each in scripts if not each.startswith(set_up)]


def _run(*command: str) -> None:
    done = _done(*command)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"


def _succeeds(*command: str) -> bool:
    return _done(*command).returncode == 0


def _done(*command: str) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, str(paths.CHECKOUT / command[0]), *command[1:]]
    return subprocess.run(
        script, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=False
    )
