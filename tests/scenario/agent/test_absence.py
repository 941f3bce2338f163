"""Absence is no order: what is deleted in the API server runs on at the host."""

from innkeeper.agent.drivers.driver import DomainSpec
from innkeeper.kube.resources import ASSIGNMENTS, LEASES
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import guest_id, order
from tests.kit.waiting import eventually

GUEST = guest_id()


async def test_a_deleted_assignment_stops_nothing(running: AgentHost) -> None:
    await running.admin.delete(ASSIGNMENTS, GUEST, namespace=running.namespace)
    await running.assign(order(2))
    await running.told(guest_id(2), "Running")  # so the deletion was seen before
    assert running.driver.running() == {GUEST, guest_id(2)}
    running.driver.crash(GUEST)
    await eventually(lambda: running.driver.starts[GUEST] == 2)

    await running.assign(order())
    told = await running.told(GUEST, "Running")
    assert told.status == "True", "an Assignment that is made anew is answered"


async def test_a_restart_without_assignments_keeps_every_guest(running: AgentHost) -> None:
    await running.kill()
    await running.admin.delete(ASSIGNMENTS, GUEST, namespace=running.namespace)
    running.reboot()
    running.start()
    await eventually(lambda: running.driver.running() == {GUEST})


async def test_an_assignment_that_is_going_is_no_order(running: AgentHost) -> None:
    body = {"metadata": {"finalizers": ["example.com/hold"]}}
    await running.admin.patch(ASSIGNMENTS, GUEST, body, namespace=running.namespace)
    await running.admin.delete(ASSIGNMENTS, GUEST, namespace=running.namespace)
    assert (await running.assignment(GUEST)).metadata.deletion_timestamp
    await running.assign(order(serial=2, desired="Stopped"))
    await running.told(GUEST, "Stopped")
    assert running.disk(GUEST).exists()


async def test_a_deleted_lease_is_made_again(running: AgentHost) -> None:
    first = await running.admin.get(LEASES, "heartbeat", namespace=running.namespace)
    await running.admin.delete(LEASES, "heartbeat", namespace=running.namespace)

    async def again() -> bool:
        leases = await running.admin.list(LEASES, namespace=running.namespace)
        return any(each.metadata.uid != first.metadata.uid for each in leases.items)

    await eventually(again)


async def test_a_machine_that_no_record_knows_is_left_alone(running: AgentHost) -> None:
    spec = running.driver.spec(GUEST)
    assert isinstance(spec, DomainSpec)
    foreign = DomainSpec(
        guest_id="somebody-elses",
        cpu_millis=spec.cpu_millis,
        memory_bytes=spec.memory_bytes,
        disk=spec.disk,
        seed=spec.seed,
        interfaces=spec.interfaces,
        console_log=spec.console_log,
    )
    await running.driver.define(foreign)
    await running.driver.start(foreign.guest_id)
    await running.kill()
    running.start()
    await running.assign(order(2))
    await running.told(guest_id(2), "Running")
    assert foreign.guest_id in running.driver.running()
