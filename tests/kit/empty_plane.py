"""A control plane of one module's own in which nothing is installed: for tests of what an installation does."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kit.own_plane import SCRIPT


@contextmanager
def empty_plane(purpose: str) -> Iterator[Path]:
    """Start a control plane, yield its administrator's kubeconfig, and take all of it down in the end."""
    name = f"test-{purpose}-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    up = subprocess.run(
        [SCRIPT, "up", "--name", name, "--json"], capture_output=True, text=True, timeout=110, check=False
    )
    assert up.returncode == 0, up.stderr
    try:
        yield Path(json.loads(up.stdout)["kubeconfig"])
    finally:
        subprocess.run([SCRIPT, "down", "--name", name], capture_output=True, timeout=60, check=True)
