"""A control plane of one test's, or one module's, own, with Innkeeper installed: for tests that take parts of it away.

The name says whose it is; parallel workers of pytest get one each.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kit.install import CHECKOUT, install, kubeconfig_of

SCRIPT = str(CHECKOUT / "hack" / "control-plane")
_UP_WITHIN_S = 240


@dataclass(frozen=True)
class OwnPlane:
    """What stands: the ways in of the administrator and of the operator, and what hack/control-plane says of it."""

    name: str
    admin: Path
    operator: Path
    state: dict[str, Any]


@contextmanager
def empty_plane(purpose: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Start a control plane in which nothing is installed; yield its name and what hack/control-plane says of it."""
    name = f"test-{purpose}-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    command = [SCRIPT, "up", "--name", name, "--json"]
    up = subprocess.run(command, capture_output=True, text=True, timeout=_UP_WITHIN_S, check=False)
    assert up.returncode == 0, up.stderr
    try:
        yield name, json.loads(up.stdout)
    finally:
        subprocess.run([SCRIPT, "down", "--name", name], capture_output=True, timeout=60, check=True)


@contextmanager
def own_plane(purpose: str, directory: Path) -> Iterator[OwnPlane]:
    """Start a control plane, install Innkeeper, and take all of it down in the end."""
    with empty_plane(purpose) as (name, state):
        admin = Path(state["kubeconfig"])
        install(admin)
        operator = kubeconfig_of(
            admin,
            namespace="innkeeper-system",
            service_account="innkeeper-operator",
            to=directory / "operator.kubeconfig",
        )
        yield OwnPlane(name, admin, operator, state)
