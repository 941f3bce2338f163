"""Fixtures for tests against a real API server: one control plane for the whole run, a namespace for each test.

All pytest-xdist workers of a run share it: the first that needs it starts it, the last that needed it takes it down.
Tests that use these fixtures carry the marker `control_plane`.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.install import CHECKOUT, CRDS, apply, run

_SCRIPT = str(CHECKOUT / "hack" / "control-plane")
# The programs must have been built before. Another worker may wait for as long.
_UP_WITHIN_S = 240
_DOWN_WITHIN_S = 60


class SharedControlPlane:
    """The control plane of one run of pytest, with a list of the processes that use it."""

    def __init__(self, base: Path) -> None:
        self.name = f"test-{hashlib.sha256(str(base).encode()).hexdigest()[:10]}"
        self._lock = base / "control-plane.lock"
        self._users = base / "control-plane.users"

    def join(self) -> Path:
        """Use it, starting it where nobody did, and return the kubeconfig."""
        with self._locked():
            users = self._alive()
            kubeconfig = self._up()
            if not users:
                apply(kubeconfig, CRDS)
                names = [f"crd/{path.stem.partition('_')[2]}.innkeeper.dev" for path in CRDS.glob("*.yaml")]
                run(kubeconfig, "wait", "--for=condition=Established", "--timeout=30s", *sorted(names))
            self._users.write_text(json.dumps([*users, os.getpid()]))
        return kubeconfig

    def leave(self) -> None:
        """Use it no longer; the last one takes it down."""
        with self._locked():
            users = [pid for pid in self._alive() if pid != os.getpid()]
            self._users.write_text(json.dumps(users))
            if not users:
                command = [_SCRIPT, "down", "--name", self.name]
                subprocess.run(command, capture_output=True, timeout=_DOWN_WITHIN_S, check=True)

    def _up(self) -> Path:
        command = [_SCRIPT, "up", "--name", self.name, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_UP_WITHIN_S, check=False)
        assert done.returncode == 0, f"hack/control-plane up failed: {done.stderr}"
        return Path(json.loads(done.stdout)["kubeconfig"])

    def _alive(self) -> list[int]:
        """Return the users that still run: one that was killed never left."""
        users: list[int] = json.loads(self._users.read_text()) if self._users.exists() else []
        return [pid for pid in users if Path(f"/proc/{pid}").exists()]

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A real API server with Innkeeper's CRDs, without its policies; its administrator's kubeconfig."""
    base = tmp_path_factory.getbasetemp()
    # Each worker of pytest-xdist has a folder of its own inside the run's.
    shared = SharedControlPlane(base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base)
    kubeconfig = shared.join()
    yield kubeconfig
    shared.leave()


@pytest.fixture
def namespace(control_plane: Path) -> Iterator[str]:
    """A new namespace on the real API server, deleted afterwards."""
    name = f"test-{uuid.uuid4().hex[:10]}"
    run(control_plane, "create", "namespace", name)
    yield name
    run(control_plane, "delete", "namespace", name, "--wait=false")
