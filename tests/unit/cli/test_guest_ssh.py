"""ssh: which words the system's ssh is started with, when it is not, and whose exit code comes back."""

from pathlib import Path
from typing import Any

import pytest

from innkeeper.cli.guest.exit_codes import ExitCode
from tests.kit.fake_kubectl import FakeKubectl

PATH = "/apis/innkeeper.dev/v1alpha1/namespaces/default/guests/web"
ADDRESSES = [{"interface": "eth0", "address": "10.0.0.5"}, {"interface": "eth1", "address": "fd00::5"}]


def guest(*, ready: str = "True", reason: str = "Running", **status: Any) -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready, "reason": reason, "message": ""}
    told = {"id": "u1", "addresses": ADDRESSES, **status, "conditions": [condition]}
    return {"metadata": {"name": "web", "namespace": "default", "uid": "u1"}, "spec": {}, "status": told}


@pytest.fixture
def kubectl(tmp_path: Path) -> FakeKubectl:
    made = FakeKubectl(tmp_path)
    made.install()
    made.program("ssh", "#!/bin/sh\nfor word; do printf '%s\\n' \"$word\"; done\nexit 42\n")
    return made


def test_ssh_is_led_to_the_address_and_ends_the_call(kubectl: FakeKubectl) -> None:
    kubectl.lay(PATH, guest())
    words = ["-l", "debian", "-i", "/key", "--jump", "bastion", "-p", "2222", "-o", "BatchMode=yes"]
    done = kubectl.run("ssh", "web", *words, "--", "uptime", "--pretty")
    assert done.returncode == 42, done.stderr
    assert done.stdout.split() == [
        *("-o", "HostKeyAlias=innkeeper-u1", "-o", "BatchMode=yes"),
        *("-l", "debian", "-i", "/key", "-p", "2222", "-J", "bastion"),
        *("--", "10.0.0.5", "uptime", "--pretty"),
    ]


def test_another_interface_has_another_address(kubectl: FakeKubectl) -> None:
    kubectl.lay(PATH, guest())
    assert kubectl.run("ssh", "web", "--interface=eth1").stdout.split()[-1] == "fd00::5"


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (guest(addresses=[]), "web has no address yet: kubectl guest wait web --for=address"),
        (guest(ready="False", reason="Starting"), "web is not Ready (Starting)"),
        (guest(reason="Stopped"), "web is not Ready (Stopped)"),
    ],
)
def test_a_guest_that_cannot_be_reached_is_told(kubectl: FakeKubectl, found: Any, told: str) -> None:
    kubectl.lay(PATH, found)
    done = kubectl.run("ssh", "web")
    assert (done.returncode, done.stdout) == (ExitCode.NOT_REACHABLE, "")
    assert told in done.stderr


def test_who_knows_better_tries_anyway(kubectl: FakeKubectl) -> None:
    kubectl.lay(PATH, guest(ready="False", reason="NotAnswering"))
    assert kubectl.run("ssh", "web", "--anyway").returncode == 42


def test_what_is_no_address_never_reaches_ssh(kubectl: FakeKubectl) -> None:
    kubectl.lay(PATH, guest(addresses=[{"interface": "eth0", "address": "-oProxyCommand=touch x"}]))
    done = kubectl.run("ssh", "web")
    assert (done.returncode, done.stdout) == (ExitCode.FAILED, "")
    assert "is no address" in done.stderr
