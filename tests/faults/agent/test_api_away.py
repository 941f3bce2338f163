"""The API server is away: guests run on by what the host holds, and all is told afterwards."""

from pathlib import Path

import pytest

from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import ASSIGNMENTS
from tests.kit.agent_host import SHORT_GRACE_S, AgentHost
from tests.kit.agent_orders import guest_id, order
from tests.kit.three_guests import CONVERGED_S, GUESTS, clock, shows
from tests.kit.virtual_time import elapse, within
from tests.kit.waiting import eventually

GUEST = guest_id()


@pytest.mark.parametrize("minutes", [5, 60])
async def test_without_an_api_server_guests_go_on_by_their_policies(three: AgentHost, minutes: int) -> None:
    await three.api.down()
    three.driver.power_off(GUESTS[1])
    three.driver.crash(GUESTS[2])
    for _ in range(minutes):
        if GUESTS[0] in three.driver.running():
            three.driver.crash(GUESTS[0])
        await elapse(clock(three), 60)
    tries = three.driver.starts[GUESTS[0]]
    assert 5 <= tries <= 8 + minutes / 5, "it is tried again, after pauses that double up to five minutes"
    await within(clock(three), 301, lambda: three.driver.running() == {GUESTS[0]})
    assert (three.driver.starts[GUESTS[1]], three.driver.starts[GUESTS[2]]) == (1, 1)
    await three.api.up()
    await three.assign(order(2, serial=2, desired="Stopped"))
    await three.assign(order(4))
    expected = {1: "Running", 2: "Stopped", 3: "Crashed", 4: "Running"}
    assert await within(clock(three), CONVERGED_S, lambda: shows(three, expected)) <= CONVERGED_S


async def test_a_guest_that_dies_meanwhile_is_started_and_all_is_told_afterwards(running: AgentHost) -> None:
    await running.api.down()
    running.driver.crash(GUEST)
    await eventually(lambda: running.driver.starts[GUEST] == 2)
    await running.api.up()
    await running.assign(order(serial=2, spec={"restart_policy": "Never"}))
    await running.told(GUEST, "Running")
    running.driver.crash(GUEST)
    await running.told(GUEST, "Crashed")
    assert running.driver.starts[GUEST] == 2


async def test_what_happened_meanwhile_is_told_without_another_order(host: AgentHost) -> None:
    host.start()
    await host.assign(order(spec={"restart_policy": "Never"}))
    await host.told(GUEST, "Running")
    await host.api.down()
    host.driver.power_off(GUEST)
    await eventually(lambda: host.driver.running() == set())
    await host.api.up()
    assert (await host.told(GUEST, "Completed")).status == "True"


async def test_an_agent_that_starts_meanwhile_starts_its_guests(running: AgentHost) -> None:
    await running.kill()
    await running.api.down()
    running.api_grace_s = SHORT_GRACE_S
    running.reboot()
    running.start()
    await eventually(lambda: running.driver.running() == {GUEST})
    await running.api.up()
    await running.assign(order(serial=2, desired="Stopped"))
    await running.told(GUEST, "Stopped")


async def test_a_build_that_was_interrupted_is_finished_from_the_store(host: AgentHost) -> None:
    host.gates.held.add("overlay")
    host.start()
    await host.assign(order())
    await host.gates.reached["overlay"].wait()
    await host.kill()
    await host.api.down()
    host.api_grace_s = SHORT_GRACE_S
    host.gates.open()
    host.start()
    await eventually(lambda: host.driver.running() == {GUEST})
    await host.api.up()
    await host.told(GUEST, "Running")


async def test_a_deletion_that_was_missed_meanwhile_is_no_order(running: AgentHost) -> None:
    await running.api.down()
    running.api.delete(ASSIGNMENTS, GUEST, namespace=running.namespace)
    await running.api.up()
    await running.assign(order(2))
    await running.told(guest_id(2), "Running")
    assert running.driver.running() == {GUEST, guest_id(2)}


async def test_a_token_that_is_renewed_in_its_file_is_used(host: AgentHost, tmp_path: Path) -> None:
    user = "system:serviceaccount:host-inn-a:agent"
    file, old = tmp_path / "token", host.api.new_token(user)
    file.write_text(old)
    async with Client(Credentials(server=host.api.url, token_file=file)) as client:
        host.agent = client
        host.start()
        await host.assign(order())
        await host.told(GUEST, "Running")
        host.api.revoke(old)
        host.api.faults.drop_watch()
        file.write_text(host.api.new_token(user))
        await host.assign(order(serial=2, desired="Stopped"))
        await host.told(GUEST, "Stopped")
        await host.kill()
