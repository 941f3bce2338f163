"""A host that was off: newer orders are looked for before a guest starts, and guests start in order."""

import base64
from collections.abc import AsyncIterator

import pytest

from innkeeper.agent.local.asking import ask
from innkeeper.agent.local.messages import Question, Verb
from innkeeper.agent.paths import StatePaths
from innkeeper.clock import SystemClock
from innkeeper.domain.orders import Signer
from innkeeper.kube.resources import HOST_AGENTS
from tests.kit.agent_host import SHORT_GRACE_S, AgentHost
from tests.kit.agent_orders import SIGNER, guest_id, order
from tests.kit.clock import ManualClock
from tests.kit.waiting import eventually, settled

GUEST = guest_id()
PRIORITIES = {1: 0, 2: 10, 3: 0, 4: 5}
LIST = "list assignments *"


@pytest.fixture
async def off(running: AgentHost) -> AsyncIterator[AgentHost]:
    """A host that ran one guest and was rebooted; its agent is not started yet, its clock stands still."""
    await running.kill()
    running.reboot()
    running.clock = ManualClock()
    return running


def clock(host: AgentHost) -> ManualClock:
    assert isinstance(host.clock, ManualClock)
    return host.clock


@pytest.mark.parametrize("desired", ["Stopped", "Superseded", "Destroyed"])
async def test_an_order_that_was_missed_is_read_before_the_guest_is_started(
    off: AgentHost, desired: str
) -> None:
    await off.assign(order(serial=2, epoch=2, desired=desired))
    off.start()
    outcome = "Destroyed" if desired == "Destroyed" else "Accepted"
    await off.told(GUEST, desired, outcome=outcome)
    assert off.driver.starts[GUEST] == 1


async def test_it_waits_for_the_api_server_and_says_so_but_not_for_ever(off: AgentHost) -> None:
    hold = off.api.faults.hold("list hostagents *", times=None)
    off.start()
    await eventually(lambda: hold.met)
    # It is no news, so it is told with the next write.
    await eventually(lambda: {2, 30} <= set(clock(off).waits), deadline_s=60)
    clock(off).advance(2)
    told = await off.told(GUEST, "WaitingForOrders")
    assert (told.status, "30 s" in told.message) == ("False", True)
    clock(off).advance(28)
    # It answers else, so a minute more is waited.
    for _ in range(60):
        await eventually(lambda: clock(off).wakes_in(1))
        assert off.driver.starts[GUEST] == 1
        clock(off).advance(1)
    await eventually(lambda: off.driver.starts[GUEST] == 2)


@pytest.mark.parametrize("seconds", [5, 15, 26])
async def test_an_api_server_that_starts_later_than_the_host_is_waited_for(
    off: AgentHost, seconds: int
) -> None:
    """Power came back for both: nobody listens yet, and what was decided before the host knew it still counts."""
    await off.assign(order(serial=2, epoch=2, desired="Superseded"))
    await off.api.down()
    off.start()
    await eventually(lambda: off.api_grace_s in clock(off).waits)
    for _ in range(seconds):
        clock(off).advance(1)
        await settled(lambda: clock(off).slept, for_s=0.05)
    await off.api.up()
    clock(off).advance(3)
    await off.told(GUEST, "Superseded")
    assert off.driver.starts[GUEST] == 1


async def test_an_api_server_that_answers_and_lists_nothing_is_waited_for_a_minute_more(
    off: AgentHost,
) -> None:
    await off.assign(order(serial=2, epoch=2, desired="Superseded"))
    refusal = off.api.faults.fail(LIST, status=503, times=None)
    off.start()
    await eventually(lambda: 30 in clock(off).waits)
    await eventually(lambda: refusal.met)
    for _ in range(86):
        clock(off).advance(1)
        await settled(lambda: clock(off).slept, for_s=0.05)
    off.api.faults.clear()
    clock(off).advance(3)
    await off.told(GUEST, "Superseded")
    assert off.driver.starts[GUEST] == 1


async def test_a_start_at_the_host_says_that_newer_orders_are_looked_for(off: AgentHost) -> None:
    await off.api.down()
    off.start()
    question = Question(verb=Verb.START, guest=GUEST, by="root")
    await eventually(lambda: off.api_grace_s in clock(off).waits)
    answer = await ask(StatePaths(off.directory), question, clock=SystemClock())
    assert "newer orders" in answer.said
    clock(off).advance(off.api_grace_s)
    await eventually(lambda: off.driver.starts[GUEST] == 2)


async def test_where_nobody_listens_guests_start_all_the_same(off: AgentHost) -> None:
    await off.api.down()
    off.start()
    await eventually(lambda: off.api_grace_s in clock(off).waits)
    clock(off).advance(off.api_grace_s)
    await eventually(lambda: off.driver.starts[GUEST] == 2)


async def test_a_guest_that_runs_is_not_touched_by_the_wait(off: AgentHost) -> None:
    await off.driver.start(GUEST)
    off.api.faults.hold(LIST, times=None)
    off.start()
    await eventually(lambda: off.api.faults.faults[0].met)
    await settled(lambda: off.driver.starts[GUEST])
    assert off.driver.running() == {GUEST}


async def test_orders_signed_with_a_newer_key_are_read_before_anything_starts(off: AgentHost) -> None:
    newer = Signer(b"\x09" * 32)
    key = {
        "id": newer.key_id,
        "publicKey": base64.b64encode(newer.public_key).decode(),
        "signedBy": SIGNER.key_id,
        "signature": SIGNER.endorse(newer.public_key),
    }
    await off.admin.patch(HOST_AGENTS, "host", {"spec": {"orderKeys": [key]}}, namespace=off.namespace)
    off.signer = newer
    await off.assign(order(serial=2, desired="Stopped"))
    off.start()
    await off.told(GUEST, "Stopped")
    assert off.driver.starts[GUEST] == 1


@pytest.mark.parametrize("api", ["heard", "away"])
async def test_guests_start_by_priority_and_then_by_age(host: AgentHost, api: str) -> None:
    host.start()
    for number, priority in PRIORITIES.items():
        await host.assign(order(number, spec={"priority": priority}))
        await host.told(guest_id(number), "Running")
    await host.assign(order(1, serial=2, spec={"priority": 0, "restart_policy": "OnFailure"}))
    await eventually(lambda: host.figure("innkeeper_agent_orders_total", meaning="update") == 1)
    await host.kill()
    host.reboot()
    host.driver.asked.clear()
    host.max_builds = 1
    if api == "away":
        await host.api.down()
        host.api_grace_s = SHORT_GRACE_S
    host.start()
    await eventually(lambda: len(host.driver.running()) == len(PRIORITIES))
    assert host.driver.asked == [guest_id(number) for number in (2, 4, 1, 3)]


async def test_a_machine_that_nobody_knows_any_more_is_built_from_what_the_store_holds(
    off: AgentHost,
) -> None:
    off.disk(GUEST).write_text("what the guest wrote")
    await off.driver.remove(GUEST)
    await off.api.down()
    off.start()
    await eventually(lambda: off.api_grace_s in clock(off).waits)
    clock(off).advance(off.api_grace_s)
    await eventually(lambda: off.driver.running() == {GUEST})
    assert off.disk(GUEST).read_text() == "what the guest wrote"


async def test_a_built_guest_whose_disk_is_gone_gets_no_empty_one(running: AgentHost) -> None:
    """The store was put back on another machine, or the disks are not mounted."""
    disk = running.disk(GUEST)
    disk.write_text("what the guest wrote")
    away = running.directory / "not-mounted"
    await running.kill()
    await running.driver.remove(GUEST)
    disk.rename(away)
    running.start()
    missing = await running.told(GUEST, "DiskMissing")
    assert "delete the guest where its disk is lost" in missing.message
    assert not disk.exists()
    away.rename(disk)
    await running.told(GUEST, "Running")
    assert disk.read_text() == "what the guest wrote"
