"""`kubectl guest` from a guest's creation to a login, on a real guest: each layer, the URN, ssh, usage, completion."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit import paths

from innkeeper.cli.guest.exit_codes import ExitCode
from tests.kit.lab import Lab, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1500)]

NAME = "typed"
SIZE = ["--cpu=1", "--memory=512Mi", "--disk=4Gi", "--pool=e2e"]


@pytest.fixture(scope="module")
def created(lab: Lab, key: Path) -> Iterator[subprocess.CompletedProcess[str]]:
    """What `create --wait=ready` said of a Debian that takes logins."""
    words = [*SIZE, "--image=debian-12", f"--ssh-key-file={key}.pub", "--ready-when=tcp:22"]
    yield lab.plugin("create", NAME, *words, "--wait=ready", "--timeout=15m", deadline_s=1000)
    lab.kubectl.run("delete", "guest", NAME, "--timeout=90s", deadline=120)


@pytest.fixture
def words(key: Path, tmp_path: Path) -> list[str]:
    """The options of a login."""
    known = f"UserKnownHostsFile={tmp_path}/known"
    return ["-l", "debian", "-i", str(key), "-o", known, "-o", "StrictHostKeyChecking=accept-new"]


def test_create_returns_once_the_guest_is_ready(lab: Lab, created: subprocess.CompletedProcess[str]) -> None:
    assert created.returncode == ExitCode.DONE, created.stderr
    assert created.stdout.splitlines() == [
        f"guest.innkeeper.dev/{NAME} created",
        f"urn:innkeeper:guest:{lab.guest_id(NAME)}",
        f"guest.innkeeper.dev/{NAME} reached ready",
    ]
    assert f"{NAME}: ready: {lab.host_of(NAME)} 10.78." in created.stderr
    again = lab.plugin("create", NAME, *SIZE, "--image=debian-12")
    assert again.returncode == ExitCode.FAILED
    assert "already exists" in again.stderr
    assert lab.plugin("wait", NAME, "--for=running").returncode == ExitCode.DONE


@pytest.mark.usefixtures("created")
def test_its_urn_finds_it_for_who_may_get_it_alone(lab: Lab) -> None:
    urn = f"urn:innkeeper:guest:{lab.guest_id(NAME)}"
    assert lab.plugin("get", urn, "-n", "kube-system", "-o", "name").stdout == f"guest.innkeeper.dev/{NAME}\n"
    refused = lab.plugin("get", urn, "--as=bob")
    assert refused.returncode == ExitCode.FAILED
    assert "there is no guest" in refused.stderr
    assert NAME not in refused.stderr


@pytest.mark.usefixtures("created")
def test_ssh_runs_a_command_and_passes_its_exit_code_on(lab: Lab, words: list[str]) -> None:
    done = lab.plugin("ssh", NAME, *words, "--", "hostname; exit 7")
    assert (done.stdout, done.returncode) == (f"{NAME}\n", 7), done.stderr


@pytest.mark.usefixtures("created")
def test_top_asks_the_host_and_names_it_when_it_does_not_answer(lab: Lab) -> None:
    def figures() -> dict[str, int]:
        done = lab.plugin("top", NAME, "-o", "json")
        assert done.returncode == ExitCode.DONE, done.stderr
        status: dict[str, int] = json.loads(done.stdout)["items"][0]["status"]
        return status

    found = until(
        lambda: (told := figures())["cpuMillis"] > 0 and told, what="the guest to take processor time"
    )
    assert isinstance(found, dict)
    assert found["running"]
    assert 64 * 1024**2 < found["memoryBytes"] < 4 * 1024**3
    assert found["promised"] == {"cpuMillis": 1000, "memoryBytes": 512 * 1024**2}
    assert "MEMORY%" in lab.plugin("top", "-A", "--sort-by=cpu").stdout
    host = lab.host_of(NAME)
    lab.hack("lab", "agent", "kill", host)
    try:
        until(lambda: f"host {host} does not answer" in lab.plugin("top").stderr, what="the host to be named")
    finally:
        lab.hack("lab", "agent", "start", host)
    until(lambda: lab.plugin("top", NAME).returncode == 0, what="the host to answer again", within_s=120)


def test_a_guest_that_fits_nowhere_ends_the_wait_and_says_why(lab: Lab) -> None:
    done = lab.plugin("create", "nowhere", *SIZE, "--image=idle", "--host-selector=no=such", "--wait=host")
    lab.kubectl.run("delete", "guest", "nowhere", "--timeout=60s", deadline=90)
    assert done.returncode == ExitCode.STALLED
    assert "NoHostFits: 0 of 2 hosts fit" in done.stderr


@pytest.mark.usefixtures("created")
def test_kubectl_completes_names_of_guests(lab: Lab, tmp_path: Path) -> None:
    program = tmp_path / "kubectl_complete-guest"
    program.write_text(lab.plugin("completion", "kubectl").stdout)
    program.chmod(0o755)
    places = [str(tmp_path), str(paths.venv_program("kubectl-guest").parent), os.environ["PATH"]]
    kubectl = lab.kubectl
    done = subprocess.run(
        [kubectl.command()[0], "__complete", "guest", "get", NAME[:3]],
        env={**os.environ, "PATH": ":".join(places), "KUBECONFIG": str(kubectl.kubeconfig)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[:1] == [NAME], done.stderr
