"""An informer and a leader live through the restart of a real API server."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from innkeeper.clock import SystemClock
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.lease import LeaderElection
from innkeeper.kube.resources import CONFIG_MAPS
from tests.kit.informing import informing
from tests.kit.install import CHECKOUT
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300)]


class Plane:
    """A control plane of this test's own: others would not like its restart."""

    def __init__(self) -> None:
        self._name = f"test-restart-{os.getpid()}"

    def call(self, action: str, *options: str) -> str:
        """Run hack/control-plane."""
        command = [str(CHECKOUT / "hack" / "control-plane"), action, "--name", self._name, *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def plane() -> Iterator[tuple[Plane, Path]]:
    found = Plane()
    kubeconfig = Path(json.loads(found.call("up", "--json"))["kubeconfig"])
    yield found, kubeconfig
    found.call("down")


async def test_informer_and_leader_outlive_a_restart(plane: tuple[Plane, Path]) -> None:
    control_plane, kubeconfig = plane
    async with Client(Credentials.from_kubeconfig(kubeconfig), request_timeout_s=5) as client:
        election = LeaderElection(
            client, namespace="default", name="l", identity="a", clock=SystemClock(), duration_s=60, renew_s=1
        )
        leading = asyncio.create_task(election.run(asyncio.Event().wait))  # type: ignore[arg-type] # its answer is not used
        for name in ("kept", "deleted"):
            await client.create(CONFIG_MAPS, {"metadata": {"name": name}}, namespace="default")
        selected = informing(client, CONFIG_MAPS, namespace="default")
        async with selected as (informer, told):
            await asyncio.to_thread(control_plane.call, "restart-apiserver")
            await client.delete(CONFIG_MAPS, "deleted", namespace="default")
            await client.create(CONFIG_MAPS, {"metadata": {"name": "new"}}, namespace="default")

            def caught_up() -> bool:
                names = {name for _, name in informer.objects}
                return {"kept", "new"} <= names and "deleted" not in names

            await eventually(caught_up, deadline_s=60)
            assert told.names().count("-deleted") == 1
            assert "-kept" not in told.names()
        assert not leading.done()
        assert election.leading
        leading.cancel()
        await asyncio.gather(leading, return_exceptions=True)
