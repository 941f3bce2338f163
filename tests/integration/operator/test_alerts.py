"""A real Prometheus scrapes a real operator, image server and agent, and an alert fires when the agent is killed."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from kit import ports

from innkeeper.kube.client import Client
from innkeeper.kube.resources import HOSTS
from innkeeper.telemetry import families
from innkeeper.telemetry.definition import Process
from tests.integration.operator import scene
from tests.kit import joining
from tests.kit.install import kubeconfig_of
from tests.kit.joining import Machine
from tests.kit.operator_process import StubImageServer
from tests.kit.own_plane import own_plane
from tests.kit.prometheus import prometheus, running
from tests.kit.promql import SERIES
from tests.kit.waiting import eventually

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(480)]

INNKEEPER = Path(sys.executable).parent / "innkeeper"
SILENT_AFTER_S = 25  # of which a host that is well, but slow, gives two heartbeats
DEADLINE_S = 150
PROCESSES = {
    "the-operator": Process.OPERATOR,
    "the-image-server": Process.IMAGES,
    "the-host": Process.AGENT,
}
CERTIFICATES = "innkeeper_certificate_expiry_timestamp_seconds"
NOT_HERE = {
    "the-operator": {CERTIFICATES},
    "the-image-server": {CERTIFICATES},
    "the-host": {CERTIFICATES, "innkeeper_agent_image_bytes_total", "innkeeper_agent_image_fetches_total"},
}
"""What is declared and not told in this scene: no process has a certificate, and the simulated driver no image."""


@pytest.fixture(scope="module")
def kubeconfigs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A control plane without hosts of other tests: of several that fell silent together none counts as silent."""
    with own_plane("alerts", tmp_path_factory.mktemp("alerts")) as plane:
        yield plane.admin, plane.operator


def told_from_the_start(process: Process) -> set[str]:
    """Return the series of a process that wait for nothing to happen: without labels, or of known values."""
    return {
        series
        for family in families.ALL
        for series in family.series
        if process in family.told_by and (not family.labels or family.known_values)
    }


async def joined(machine: Machine, host: str, kubeconfig: Path) -> None:
    """Make a machine a host, as an admin and a person at the machine do."""

    async def token() -> str:
        said = await joining.run("kubectl-guest", "join-token", host, kubeconfig=kubeconfig)
        assert said.code == 0, said.err  # the operator may have just begun
        return said.out.strip()

    said = await machine.join(await eventually(token, deadline_s=DEADLINE_S))
    assert said.code == 0, said.err


async def test_a_host_that_is_lost_fires_an_alert_which_ends_when_it_is_back(
    admin: Client, kubeconfigs: tuple[Path, Path], images: StubImageServer, name: str, tmp_path: Path
) -> None:
    targets = dict(zip(PROCESSES, ports.choose(3, address="127.0.0.1"), strict=True))
    machine = Machine(tmp_path / "machine")
    backups = tmp_path / "backups"
    backups.mkdir(mode=0o700)
    operator = (
        *(INNKEEPER, "operator", "--kubeconfig", kubeconfigs[1], "--images-url", images.url),
        *("--metrics-port", str(targets["the-operator"]), "--host-silence-s", str(SILENT_AFTER_S)),
        *("--snapshot-file", tmp_path / "operator.snapshot"),
    )
    agent = (
        *(
            INNKEEPER,
            "agent",
            "--driver",
            "simulated",
            "--join-file",
            machine.join_file,
            "--state-dir",
            machine.state,
        ),
        *("--metrics-port", str(targets["the-host"]), "--backup-directory", backups),
    )
    own = kubeconfig_of(
        kubeconfigs[0],
        namespace="innkeeper-system",
        service_account="innkeeper-images",
        to=tmp_path / "images",
    )
    image_server = (
        *(INNKEEPER, "images", "--kubeconfig", own, "--port", "0", "--directory", tmp_path),
        *("--public-url", "https://images.test", "--metrics-port", str(targets["the-image-server"])),
    )
    with ExitStack() as stack:
        stack.enter_context(running(operator, tmp_path / "operator.log"))
        stack.enter_context(running(image_server, tmp_path / "image-server.log"))
        await scene.infrastructure(admin, name)
        await joined(machine, name, kubeconfigs[0])
        lost = stack.enter_context(running(agent, tmp_path / "agent.log"))
        (tmp_path / "prometheus").mkdir()
        async with prometheus(targets, tmp_path / "prometheus") as watcher:
            await scene.ready(admin, HOSTS, name, reason="Ready", deadline_s=DEADLINE_S)

            async def all_is_told() -> bool:
                ready = await watcher.query('innkeeper_hosts{reason="Ready"} == 1')
                return bool(ready and await watcher.query("innkeeper_agent_lease_age_seconds"))

            await eventually(all_is_told, deadline_s=DEADLINE_S)
            assert await watcher.series() <= SERIES.keys()

            async def each_tells_its_own() -> bool:
                told = {name: await watcher.series(of=name) for name in targets}
                missing = {name: told_from_the_start(PROCESSES[name]) - told[name] for name in targets}
                assert missing == NOT_HERE
                return True

            await eventually(each_tells_its_own, deadline_s=DEADLINE_S)

            async def is_quiet() -> bool:
                firing = await watcher.firing()
                assert not firing
                return True

            await eventually(is_quiet, deadline_s=DEADLINE_S)

            lost.kill()

            async def is_told() -> bool:
                return "InnkeeperHostSilent" in await watcher.firing()

            await eventually(is_told, deadline_s=DEADLINE_S)
            alert = (await watcher.firing())["InnkeeperHostSilent"]
            assert alert["labels"]["severity"] == "critical"
            assert alert["annotations"]["summary"] == "Hosts that are not heard - 1."
            assert alert["annotations"]["runbook_url"].endswith("/runbooks/InnkeeperHostSilent.html")

            stack.enter_context(running(agent, tmp_path / "agent.log"))
            await eventually(is_quiet, deadline_s=DEADLINE_S)
