"""A control plane that lost its store beside real guests: rebuilt from the hosts, which go on as if nothing had been."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from kit import host_api, paths
from kit.control_plane import lifecycle
from kit.control_plane import state as planes
from kit.lab import identities, services

from tests.e2e.conftest import SUBNET, infrastructure
from tests.kit.lab import Lab, guest, until
from tests.kit.ssh import pings, public

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

SECRET = ("-n", "innkeeper-system", "secret", "innkeeper-order-key")


def test_guests_outlive_the_store_of_their_api_server(
    lab: Lab, key: Path, images: Path, tmp_path: Path
) -> None:
    lab.apply(
        guest(
            "kept",
            resources={"cpu": "1", "memory": "512Mi", "disk": "4Gi"},
            image={"name": "debian-12"},
            sshKeys=[public(key)],
        ),
        guest("idle-kept"),
    )
    address = lab.wait_ready("kept", reason="Running", within_s=120)["status"]["addresses"][0]["address"]
    lab.wait_ready("idle-kept", reason="Running")
    until(lambda: pings(address), what="ping", within_s=150)
    before = {name: told(lab, name) for name in ("kept", "idle-kept")}
    order_key = tmp_path / "order.key"
    order_key.write_bytes(
        base64.b64decode(lab.kubectl.run("get", *SECRET, "-o", "jsonpath={.data.privateKey}"))
    )

    wipe(lab)
    lab.hack("lab", "up", "--subnet", SUBNET, "--images", str(images))
    assert lab.get("guest", "kept") is None
    assert pings(address), "the guest does not know that anything happened"
    lab.kubectl.run(
        "create", *SECRET[:2], "secret", "generic", SECRET[3], f"--from-file=privateKey={order_key}"
    )
    result = rebuild(lab, order_key)
    assert (result["complete"], result["made"]["Guest"]) == (True, len(before))

    lab.apply(*infrastructure(images))
    lab.hack("lab", "join")
    lab.kubectl.run("wait", "--for=condition=Ready", "--timeout=120s", "host", "--all", deadline=150)
    lab.kubectl.run("wait", "--for=condition=Ready", "--timeout=120s", "image", "--all", deadline=150)
    for name in before:
        lab.wait_ready(name, reason="Running", within_s=120)
    assert {name: told(lab, name) for name in before} == before
    assert pings(address)

    lab.apply(guest("new"))
    lab.wait_ready("new", reason="Running")
    assert told(lab, "new")[3] not in {each[3] for each in before.values()}
    for name in ("kept", "idle-kept", "new"):
        lab.kubectl.run("delete", "guest", name, "--timeout=90s", deadline=120)
    assert [lab.qemu_pids(each[0]) for each in before.values()] == [[], []]


def told(lab: Lab, name: str) -> tuple[str, int, str, str]:
    """Return what may never change of a guest: Guest ID, QEMU, host, address."""
    status = lab.guest(name)["status"]
    return (
        status["id"],
        lab.qemu_pid(status["id"]),
        status["host"],
        status["addresses"][0]["address"],
    )


def wipe(lab: Lab) -> None:
    """Lose all that the API server held; operator and image server are ended, agents and guests are not."""
    for name in ("operator", "images"):
        services.daemon(lab.plan, name).stop(grace=5)
    plane = planes.load(lab.name)
    assert plane is not None
    lifecycle.stop(plane)
    shutil.rmtree(plane.directory / "etcd-data")
    lifecycle.start(plane)


def rebuild(lab: Lab, order_key: Path) -> dict[str, Any]:
    """Run the command as a person does, and return what it said."""
    vouching = host_api.authority(lab.plan.directory)
    account = next(each for each in identities.accounts(lab.plan) if each.name == identities.OPERATOR)
    words = host_api.operator_arguments(vouching, hosts_file=lab.plan.directory / "hosts.yaml")
    command: list[str | Path] = [paths.venv_program("innkeeper"), "operator", "rebuild", *words]
    command += ["--kubeconfig", identities.write_kubeconfig(lab.plan, account), "--output", "json"]
    command += ["--order-key-file", order_key]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
