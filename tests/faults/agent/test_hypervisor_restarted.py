"""The hypervisor is restarted: no guest is started again, and the host says that it is away meanwhile."""

import asyncio
from collections.abc import Callable

from innkeeper.agent.drivers.driver import DriverError
from innkeeper.kube.resources import HOST_AGENTS
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import guest_id, order
from tests.kit.waiting import eventually

GUEST, OTHER = guest_id(), guest_id(2)


async def test_a_restart_of_the_hypervisor_starts_nothing_again(running: AgentHost) -> None:
    """Its events end, it cannot be asked for a while, and then every machine is as it was."""
    away = asyncio.Event()

    def cannot_be_asked() -> Callable[[], object]:
        domains = running.driver.domains

        async def asked() -> object:
            if away.is_set():
                raise DriverError("libvirt is away")
            return await domains()

        return asked

    running.driver.domains = cannot_be_asked()  # type: ignore[method-assign,assignment] # the fault itself
    away.set()
    await running.driver.close()

    async def is_told() -> bool:
        agent = await running.admin.get(HOST_AGENTS, "host", namespace=running.namespace)
        return "libvirt is away" in agent.status.conditions[0].message

    await eventually(is_told)
    assert running.driver.running() == {GUEST}
    away.clear()

    async def is_well() -> bool:
        agent = await running.admin.get(HOST_AGENTS, "host", namespace=running.namespace)
        return agent.status.conditions[0].status == "True"

    await eventually(is_well)
    await running.assign(order(2))
    await running.told(OTHER, "Running")
    assert running.driver.starts[GUEST] == 1
    running.driver.crash(GUEST)
    await eventually(lambda: running.driver.starts[GUEST] == 2)
