"""Ready means that the guest answers, where its spec says what it is asked."""

from msgspec.structs import replace

from innkeeper.domain.orders import Order
from innkeeper.views.guest import ReadinessProbe, TcpProbe
from innkeeper.views.meta import View
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import guest_id, order
from tests.kit.clock import ManualClock
from tests.kit.virtual_time import elapse, quiet, within
from tests.kit.waiting import eventually, settled

GUEST = guest_id()
PROBE = ReadinessProbe(ping=View(), period_seconds=1, failure_threshold=2)


def probed(**changes: object) -> Order:
    """Return an order with a probe."""
    return order(spec={"readiness_probe": PROBE}, **changes)


async def test_a_guest_is_ready_once_it_answers(host: AgentHost) -> None:
    host.asker.silent[GUEST] = "no answer within 1 s"
    host.start()
    await host.assign(probed())
    told = await host.told(GUEST, "NotAnswering")
    assert told.status == "False"
    await eventually(lambda: host.asker.asked[GUEST] >= 2)
    assert "ping at 10.0.0.11: no answer within 1 s" in (await host.told(GUEST, "NotAnswering")).message
    host.asker.silent.clear()
    assert (await host.told(GUEST, "Running")).status == "True"


async def test_one_missed_answer_is_none_and_two_are_enough(host: AgentHost) -> None:
    host.clock = clock = ManualClock()
    host.start()
    await host.assign(probed())
    await host.told(GUEST, "Running")
    await quiet(clock)
    host.asker.silent[GUEST] = "Connection refused"
    before = host.asker.asked[GUEST]
    await within(clock, 1, lambda: host.asker.asked[GUEST] == before + 1)
    assert (await host.told(GUEST, "Running")).status == "True"
    await within(clock, 1, lambda: host.asker.asked[GUEST] == before + 2)
    assert "Connection refused" in (await host.told(GUEST, "NotAnswering")).message


async def test_a_restart_of_the_agent_makes_no_guest_unready(host: AgentHost) -> None:
    """A guest that answered is Ready until it fails again; one that did not is not."""
    host.clock = clock = ManualClock()
    host.start()
    await host.assign(order(spec={"readiness_probe": replace(PROBE, period_seconds=10)}))
    await host.told(GUEST, "Running")
    await host.kill()
    host.asker.silent[GUEST] = "gone"
    writes, before = len(host.api.writes()), host.asker.asked[GUEST]
    host.start()
    await eventually(lambda: host.asker.asked[GUEST] > before)
    await elapse(clock, 9, step_s=1)
    assert host.asker.asked[GUEST] == before + 1
    assert not [str(call) for call in host.api.writes()[writes:] if "assignments" in str(call)]
    await within(clock, 1, lambda: host.asker.asked[GUEST] == before + 2)
    await host.told(GUEST, "NotAnswering")
    await host.kill()
    host.start()
    await host.told(GUEST, "NotAnswering")


async def test_after_a_power_cycle_it_has_to_answer_again(host: AgentHost) -> None:
    host.start()
    await host.assign(probed())
    await host.told(GUEST, "Running")
    await host.assign(probed(serial=2, desired="Stopped"))
    await host.told(GUEST, "Stopped")
    asked = host.asker.asked[GUEST]
    await settled(lambda: host.asker.asked[GUEST] == asked)
    host.asker.silent[GUEST] = "not yet"
    await host.assign(probed(serial=3))
    await host.told(GUEST, "NotAnswering")
    host.asker.silent.clear()
    await host.told(GUEST, "Running")


async def test_a_probe_may_be_changed_and_taken_away(host: AgentHost) -> None:
    host.asker.silent[GUEST] = "no"
    host.start()
    await host.assign(probed())
    await host.told(GUEST, "NotAnswering")
    tcp = ReadinessProbe(tcp=TcpProbe(port=22), period_seconds=1)
    await host.assign(order(serial=2, spec={"readiness_probe": tcp}))

    async def asks_tcp() -> bool:
        return "tcp at 10.0.0.11 port 22" in (await host.told(GUEST, "NotAnswering")).message

    await eventually(asks_tcp)
    await host.assign(order(serial=3))
    await host.told(GUEST, "Running")
