"""The network of a lab: wherever a first `up` was cut off, a second completes it, and `down` leaves nothing."""

import os
import subprocess
from collections.abc import Iterator

import pytest
from kit.lab import network
from kit.lab.plan import Plan

pytestmark = pytest.mark.lab


@pytest.fixture
def plan() -> Iterator[Plan]:
    found = Plan(name=f"cut-off-{os.getpid()}", subnet="10.231.7.0/24", hosts=("host-a", "host-b"))
    yield found
    network.down(found)


def reaches(plan: Plan, host: str) -> bool:
    command = ["ip", "netns", "exec", plan.namespace(host), "ping", "-n", "-c1", "-W5", plan.gateway]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def cut_off(monkeypatch: pytest.MonkeyPatch, plan: Plan, *, before: int) -> bool:
    """Begin the network, and be interrupted before one call of `ip`; tell whether there was such a call."""
    whole, calls = network._ip, 0

    def call(*words: str) -> str:
        nonlocal calls
        calls += 1
        if calls == before:
            raise KeyboardInterrupt
        return whole(*words)

    with monkeypatch.context() as patched:
        patched.setattr(network, "_ip", call)
        try:
            network.up(plan)
        except KeyboardInterrupt:
            return True
    return False


def test_a_network_that_was_cut_off_anywhere_is_completed(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = 1
    while cut_off(monkeypatch, plan, before=before):
        network.up(plan)
        assert all(reaches(plan, host) for host in plan.hosts), f"cut off before call {before}"
        network.down(plan)
        assert not [each for each in network._namespaces() if plan.name in each]
        before += 1
    assert before > 10
