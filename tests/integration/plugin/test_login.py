"""A kubeconfig whose log-in plug-in asks a person, and warnings: with the real kubectl and a real API server."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from kit import paths

from innkeeper.cli.guest.exit_codes import ExitCode
from tests.kit.terminal import Terminal

pytestmark = [pytest.mark.control_plane, pytest.mark.timeout(300)]

ASKS = """#!{python}
import pathlib, sys
sys.stderr.write("Who goes there? ")
sys.stderr.flush()
if sys.stdin.readline().strip() == "alice":
    print(pathlib.Path({credential!r}).read_text())
else:
    sys.exit(1)
"""
GUEST = ["web", "--image=d", "--flavor=s", "--pool=p", "--dry-run=server", "-o", "name"]


@pytest.fixture
def environment(control_plane: Path, tmp_path: Path) -> dict[str, str]:
    """The real kubectl on PATH, and a kubeconfig that has to ask for what the admin's kubeconfig holds."""
    kubectl = paths.kubectl()
    assert kubectl is not None
    view = [
        str(kubectl),
        f"--kubeconfig={control_plane}",
        "config",
        "view",
        "--raw",
        "--flatten",
        "-o",
        "json",
    ]
    config = json.loads(subprocess.run(view, capture_output=True, check=True).stdout)
    [user] = config["users"]
    credential = tmp_path / "credential"
    credential.write_text(json.dumps(credential_of(user["user"])))
    program = tmp_path / "asks"
    program.write_text(ASKS.format(python=sys.executable, credential=str(credential)))
    program.chmod(0o755)
    user["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(program),
            "interactiveMode": "IfAvailable",
        }
    }
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    return {
        **os.environ,
        "PATH": f"{kubectl.parent}:{os.environ['PATH']}",
        "KUBECONFIG": str(kubeconfig),
        "TERM": "xterm",
    }


def credential_of(user: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a log-in plug-in prints."""
    if "token" in user:
        status = {"token": user["token"]}
    else:
        pem = {
            "clientCertificateData": user["client-certificate-data"],
            "clientKeyData": user["client-key-data"],
        }
        status = {name: base64.b64decode(value).decode() for name, value in pem.items()}
    return {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}


def command(*words: str) -> list[str]:
    """Return how the plug-in is started."""
    return [sys.executable, "-c", "from innkeeper.cli.guest.commands import main; main()", *words]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["create", *GUEST], ExitCode.DONE, "guest.innkeeper.dev/web"),
        (["get", "web"], ExitCode.FAILED, 'guests.innkeeper.dev "web" not found'),
    ],
    ids=["create", "get"],
)
def test_a_plug_in_that_asks_is_answered(
    environment: dict[str, str], namespace: str, words: list[str], code: ExitCode, told: str
) -> None:
    with Terminal(command(*words, "-n", namespace), environment) as terminal:
        terminal.shows("Who goes there? ")
        terminal.types("alice")
        ended, shown = terminal.ends()
    assert ended == code, shown
    assert shown.count(told) == 1, shown


def test_a_log_in_that_fails_is_told(environment: dict[str, str], namespace: str) -> None:
    with Terminal(command("get", "web", "-n", namespace), environment) as terminal:
        terminal.shows("Who goes there? ")
        terminal.types("mallory")
        ended, shown = terminal.ends()
    assert ended == ExitCode.FAILED
    assert "getting credentials" in shown


def test_who_is_not_there_is_not_waited_for(environment: dict[str, str], namespace: str) -> None:
    done = subprocess.run(
        command("get", "web", "-n", namespace),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == ExitCode.FAILED
    assert "Who goes there?" in done.stderr


def test_a_warning_of_the_api_server_is_told(
    environment: dict[str, str], control_plane: Path, namespace: str
) -> None:
    code = (
        "from innkeeper.cli.guest.asking import Kubectl\n"
        f"Kubectl().create('/api/v1/namespaces/{namespace}/configmaps?dryRun=All', "
        "{'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'a'}, 'datta': {}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "KUBECONFIG": str(control_plane)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, 'Warning: unknown field "datta"\n')
