"""The doctor at a machine that joined, against a real API server: well, with a wrong clock, and revoked."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from innkeeper.agent.doctor.checks import clock, identity, network
from innkeeper.agent.doctor.finding import Verdict
from innkeeper.agent.doctor.look import Machine as Examined
from innkeeper.agent.doctor.look import look
from innkeeper.agent.paths import StatePaths
from innkeeper.clock import SystemClock
from innkeeper.domain import names
from innkeeper.kube.client import Client
from innkeeper.kube.resources import SECRETS
from tests.integration.operator import scene
from tests.kit import joining
from tests.kit.clock import ManualClock
from tests.kit.joining import Machine
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.control_plane, pytest.mark.usefixtures("operator")]


async def test_what_the_doctor_says_in_the_life_of_a_host(
    admin: Client, kubeconfigs: tuple[Path, Path], name: str, tmp_path: Path
) -> None:
    await scene.infrastructure(admin, name)
    line = await joining.run("kubectl-guest", "join-token", name, kubeconfig=kubeconfigs[0])
    machine = Machine(tmp_path)
    assert (await machine.join(line.out)).code == 0
    options = ("--join-file", machine.join_file, "--state-dir", machine.state, "--output", "json")
    said = await joining.run("innkeeper", "doctor", *options)
    found = {each["check"]: each for each in json.loads(said.out)}
    for check in ("join", "token", "api server"):
        assert found[check]["verdict"] == "ok", found[check]
    assert found["bridge"]["seen"] == "there is no bridge br0", "the Cluster names it"
    assert said.code == 1
    assert "bridge" in said.err

    examined = Examined(
        join_file=machine.join_file,
        paths=StatePaths(machine.state),
        libvirt_uri="",
        clock=ManualClock(SystemClock().now() + timedelta(minutes=5)),
    )
    told = await look(examined)
    wrong = await clock.check(examined, told)
    assert wrong.verdict is Verdict.FAIL, wrong
    assert "ahead of the API server's" in wrong.seen
    assert (await network.bridge(examined, told)).verdict is Verdict.FAIL

    await admin.delete(SECRETS, names.AGENT_JOIN_SECRET, namespace=names.host_namespace(name))

    async def is_told() -> bool:
        return "ended or was revoked" in (await identity.api_server(examined, await look(examined))).seen

    await eventually(is_told, deadline_s=60)
