"""A control plane whose store a test takes away: copied, put back, wiped, or with its API server begun anew."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from innkeeper.kube.credentials import Credentials
from kit.control_plane import lifecycle, state
from tests.kit.own_plane import SCRIPT

TRIES = 10


@dataclass(frozen=True)
class PlaneStore:
    """An API server and its etcd that a test may take away."""

    name: str
    admin: Credentials
    operator: Credentials

    def copy(self, to: Path) -> None:
        """Copy what etcd holds, as a backup at rest."""
        plane = self._plane()
        lifecycle.stop(plane)
        shutil.copytree(plane.directory / "etcd-data", to)
        _start(plane)

    def put_back(self, copy: Path) -> None:
        """Have etcd hold what it held when the copy was made."""
        plane = self._plane()
        lifecycle.stop(plane)
        shutil.rmtree(plane.directory / "etcd-data")
        shutil.copytree(copy, plane.directory / "etcd-data")
        _start(plane)

    def wipe(self) -> None:
        """Lose all of it: etcd begins empty."""
        plane = self._plane()
        lifecycle.stop(plane)
        shutil.rmtree(plane.directory / "etcd-data")
        _start(plane)

    def restart_api_server(self) -> None:
        """Have the API server begin anew; etcd goes on."""
        subprocess.run(
            [SCRIPT, "restart-apiserver", "--name", self.name], capture_output=True, timeout=110, check=True
        )

    def _plane(self) -> state.ControlPlane:
        found = state.load(self.name)
        assert found is not None
        return found


def _start(plane: state.ControlPlane) -> None:
    """Start it again; its port may be in use for a moment by a client that looked for it while it was away."""
    for left in reversed(range(TRIES)):
        try:
            lifecycle.start(plane)
        except lifecycle.PortTakenError:
            if not left:
                raise
        else:
            return
