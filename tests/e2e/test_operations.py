"""Operations on a real guest: it boots once more, stands still, goes on; whatever is killed meanwhile."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.lab import Lab, guest, until
from tests.kit.ssh import pings, public, ssh

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

NAME = "operated"
BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
# Written down at each boot, before anybody can log in.
COUNTING = f"""[Unit]
Before=ssh.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c '{BOOT_ID} >> /var/boots; sync'
[Install]
WantedBy=multi-user.target
"""
COUNT = "sudo tee /etc/systemd/system/boots.service && sudo systemctl enable --now boots && sync"


@pytest.fixture(scope="module")
def address(lab: Lab, key: Path) -> Iterator[str]:
    """A Debian that runs and takes logins: its address."""
    lab.apply(
        guest(
            NAME,
            resources={"cpu": "1", "memory": "512Mi", "disk": "4Gi"},
            image={"name": "debian-12"},
            sshKeys=[public(key)],
            restartPolicy="Never",
        )
    )
    found = lab.wait_ready(NAME, reason="Running", within_s=120)["status"]["addresses"][0]["address"]
    until(lambda: ssh(key, found, "cloud-init status --wait"), what="the first boot", within_s=240)
    assert ssh(key, found, COUNT, stdin=COUNTING) is not None
    yield found
    lab.kubectl.run("delete", "guest", NAME, "--timeout=90s", deadline=120)


def boots(key: Path, address: str) -> list[str]:
    """Return the boot ID of each of the guest's boots, the oldest first."""
    said = until(lambda: ssh(key, address, "cat /var/boots"), what="ssh", within_s=240)
    assert said is not None
    return said.split()


def test_a_reboot_boots_the_guest_exactly_once(lab: Lab, key: Path, address: str) -> None:
    before, pid = boots(key, address), lab.qemu_pid(lab.guest_id(NAME))
    done = lab.plugin("reboot", NAME, "--timeout", "200s")
    assert done.returncode == 0, done.stderr
    assert f"guest.innkeeper.dev/{NAME} rebooted" in done.stdout
    lab.wait_ready(NAME, reason="Running")
    after = boots(key, address)
    assert after[:-1] == before
    assert lab.qemu_pid(lab.guest_id(NAME)) != pid
    told = lab.plugin("events", NAME).stdout
    assert "Finished" in told


def test_a_reboot_is_done_once_though_agent_and_operator_are_killed_meanwhile(
    lab: Lab, key: Path, address: str
) -> None:
    before = boots(key, address)
    asked = lab.plugin("reboot", NAME, "--no-wait", "-o", "name")
    operation = asked.stdout.strip().removeprefix("guestoperation.innkeeper.dev/")
    host = lab.host_of(NAME)

    def phase() -> str:
        return str((lab.get("guestoperation", operation) or {}).get("status", {}).get("phase"))

    until(lambda: phase() == "Running", what="the operation to begin")
    lab.hack("lab", "agent", "kill", host)
    lab.restart_operator()
    lab.hack("lab", "agent", "start", host)
    until(lambda: phase() == "Succeeded", what="the operation's end", within_s=200)
    lab.wait_ready(NAME, reason="Running", within_s=120)
    assert len(boots(key, address)) == len(before) + 1


def test_a_paused_guest_does_not_answer_until_it_is_resumed(lab: Lab, key: Path, address: str) -> None:
    pid = lab.qemu_pid(lab.guest_id(NAME))
    until(lambda: pings(address), what="ping", within_s=120)
    before = until(lambda: ssh(key, address, BOOT_ID), what="ssh", within_s=120)
    assert lab.plugin("pause", NAME).returncode == 0
    until(lambda: lab.condition(NAME).get("reason") == "Paused", what="Ready to say so")
    assert not pings(address)
    lab.hack("lab", "agent", "kill", lab.host_of(NAME))
    lab.hack("lab", "agent", "start", lab.host_of(NAME))
    until(lambda: lab.condition(NAME).get("reason") == "Paused", what="the next agent to leave it so")
    assert not pings(address)
    assert lab.plugin("resume", NAME).returncode == 0
    lab.wait_ready(NAME, reason="Running")
    until(lambda: pings(address), what="ping", within_s=60)
    assert until(lambda: ssh(key, address, BOOT_ID), what="ssh", within_s=120) == before
    assert lab.qemu_pid(lab.guest_id(NAME)) == pid


def test_power_is_taken_and_a_guest_is_stopped_and_started_by_the_plug_in(
    lab: Lab, key: Path, address: str
) -> None:
    before = boots(key, address)
    assert lab.plugin("reboot", "--hard", NAME).returncode == 0
    assert len(boots(key, address)) == len(before) + 1
    stopped = lab.plugin("stop", NAME, "--timeout", "200s")
    assert stopped.returncode == 0, stopped.stderr
    assert lab.qemu_pids(lab.guest_id(NAME)) == []
    failed = lab.plugin("reboot", NAME)
    assert failed.returncode == 1
    assert "GuestStopped" in failed.stderr
    started = lab.plugin("start", NAME, "--timeout", "200s")
    assert started.returncode == 0, started.stderr
    lab.qemu_pid(lab.guest_id(NAME))
