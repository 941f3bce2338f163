"""A guest's whole life on real hosts: built, reached, stopped, started again, deleted."""

import json
from pathlib import Path

import pytest

from tests.kit.lab import Lab, guest, until
from tests.kit.ssh import pings, public, ssh

pytestmark = [pytest.mark.lab, pytest.mark.timeout(420)]

USER_DATA = "#cloud-config\nwrite_files:\n  - path: /etc/from-user-data\n    content: yes-it-is\n"


def test_a_guest_boots_debian_and_is_what_its_manifest_says(lab: Lab, key: Path) -> None:
    """Address, host name, key and user data all arrive; a stop and a start keep the address and the disk."""
    lab.apply(
        guest(
            "debian",
            resources={"cpu": "1", "memory": "512Mi", "disk": "4Gi"},
            image={"name": "debian-12"},
            hostname="front-desk",
            sshKeys=[public(key)],
            userData={
                "inline": "#cloud-config\nwrite_files:\n  - path: /etc/from-user-data\n    content: yes-it-is\n"
            },
        )
    )
    built = lab.wait_ready("debian", reason="Running", within_s=120)
    address = built["status"]["addresses"][0]["address"]
    until(lambda: pings(address), what="ping", within_s=120)
    said = until(lambda: ssh(key, address, "hostname; cat /etc/from-user-data"), what="ssh", within_s=120)
    assert said.split() == ["front-desk", "yes-it-is"]
    until(
        lambda: ssh(key, address, "cloud-init status --wait; echo kept | sudo tee /var/kept; sync"),
        what="cloud-init",
    )

    lab.kubectl.run("patch", "guest", "debian", "--type=merge", "-p", '{"spec":{"power":"Stopped"}}')
    lab.wait_ready("debian", reason="Stopped", within_s=120)
    assert lab.qemu_pids(lab.guest_id("debian")) == []

    lab.kubectl.run("patch", "guest", "debian", "--type=merge", "-p", '{"spec":{"power":"Running"}}')
    again = lab.wait_ready("debian", reason="Running", within_s=120)
    assert again["status"]["addresses"] == built["status"]["addresses"]
    assert until(lambda: ssh(key, address, "cat /var/kept"), what="ssh again", within_s=150) == "kept\n"
    lab.kubectl.run("delete", "guest", "debian", "--timeout=90s", deadline=120)


def test_delete_removes_domain_disk_assignment_and_address(lab: Lab) -> None:
    """Nothing of a deleted guest is left, on the host or in the API server."""
    lab.apply(guest("short-lived"))
    built = lab.wait_ready("short-lived", reason="Running")
    guest_id, host = lab.guest_id("short-lived"), lab.host_of("short-lived")
    address = built["status"]["addresses"][0]["address"]
    disk = lab.plan.host_directory(host) / "var-lib-innkeeper" / "guests" / guest_id
    assert disk.exists()
    lab.kubectl.run("delete", "guest", "short-lived", "--timeout=90s", deadline=120)

    assert lab.qemu_pids(guest_id) == []
    assert not disk.exists()
    until(
        lambda: lab.get("assignment", guest_id, namespace=f"host-{host}") is None, what="the Assignment to go"
    )
    claim = f"default.{address}"

    def released() -> bool:
        found = lab.get("ipaddresses.innkeeper.dev", claim)
        return found is None or "owner" not in found["spec"]

    until(released, what="the address to be released")
    until(
        lambda: lab.get("ipaddresses.innkeeper.dev", claim) is None, what="the quarantine to end", within_s=90
    )


def test_the_columns_tell_what_a_person_wants_to_know(lab: Lab) -> None:
    """`kubectl get guests` shows host, address and reason."""
    lab.apply(guest("shown"))
    built = lab.wait_ready("shown", reason="Running")
    head, row = lab.kubectl.run("get", "guest", "shown").splitlines()
    assert head.split() == ["NAME", "READY", "POWER", "HOST", "IP", "REASON", "AGE"]
    address = built["status"]["addresses"][0]["address"]
    assert row.split()[:6] == ["shown", "True", "Running", built["status"]["host"], address, "Running"]
    pool = json.loads(lab.kubectl.run("get", "ippool", "e2e", "-o", "json"))
    assert pool["status"]["total"] == 100
    lab.kubectl.run("delete", "guest", "shown", "--timeout=90s", deadline=120)
