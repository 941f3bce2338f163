"""What a real host tells of its store: to the operator's certificate, and to a person at the host without its agent."""

import asyncio
import json
import subprocess

import msgspec
import pytest
from kit import host_api, paths
from kit.lab import machines

from innkeeper.domain.host_store import Events, GuestEntry, Snapshot
from tests.kit.host_api import ask, context
from tests.kit.lab import Lab, guest, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(420)]


def test_a_host_tells_the_operator_and_a_person_what_it_runs(lab: Lab) -> None:
    lab.apply(guest("told"))
    lab.wait_ready("told", reason="Running")
    host, guest_id = lab.host_of("told"), lab.guest_id("told")

    first = msgspec.json.decode(_ask(lab, host, "/v1/snapshot"), type=Snapshot)
    told = next(each for each in first.guests if each.guest_id == guest_id)
    assert (told.ready, told.reason) == (True, "Running")
    steps = [step.reason for step in told.history]
    assert (steps[0], steps[-1]) == ("Accepted", "Running")
    assert first.settings is not None

    lab.hack("lab", "agent", "stop", host)
    held = {each["entry"]["guestId"]: each["entry"] for each in _inspect(lab, host)["guests"]}
    assert msgspec.convert(held[guest_id], GuestEntry).order == told.order
    lab.hack("lab", "agent", "start", host)

    lab.kubectl.run("delete", "guest", "told", "--timeout=90s", deadline=120)
    path = f"/v1/events?store={first.store_id}&since={first.seq}"
    until(lambda: lab.get("hostagent", "host", namespace=f"host-{host}"), what="the HostAgent")
    since = msgspec.json.decode(_ask(lab, host, path), type=Events)
    ended = next(each for each in since.tombstones if each.guest_id == guest_id)
    assert ended.order is not None
    assert lab.qemu_pids(guest_id) == []


def _ask(lab: Lab, host: str, path: str) -> bytes:
    """Ask as the operator does, at the address that the agent reports."""
    agent = lab.get("hostagent", "host", namespace=f"host-{host}")
    assert agent is not None
    vouching = host_api.authority(lab.plan.directory)
    tls = context(vouching, host_api.operator_pair(vouching))
    answer = asyncio.run(ask(agent["status"]["address"], path, tls=tls, host=host))
    assert answer.status == 200, answer.body
    return answer.body


def _inspect(lab: Lab, host: str) -> dict[str, list[dict[str, dict[str, object]]]]:
    command = [paths.venv_program("innkeeper"), "agent", "inspect", "-o", "json"]
    inside = machines.inside(lab.plan, host, command)
    done = subprocess.run(inside, capture_output=True, text=True, check=True)
    found: dict[str, list[dict[str, dict[str, object]]]] = json.loads(done.stdout)
    return found
