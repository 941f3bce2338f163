"""The API server's store is put back to an older copy while an agent hears nothing, and generations begin again there."""

from typing import Any

import pytest

from innkeeper.domain.orders import Order
from innkeeper.kube.resources import ASSIGNMENTS
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import guest_id, order
from tests.kit.waiting import eventually

GUEST = guest_id()
SECOND = order(serial=2, desired="Stopped")


async def put_back_and_ordered(host: AgentHost, then: Order) -> None:
    """Have a second order carried out, its store put back to the first, and another second one signed meanwhile."""
    backup = host.api.store.backup()
    await host.assign(SECOND)
    await host.told(GUEST, "Stopped")
    before = await host.assignment(GUEST)
    await host.api.down()
    host.api.store.put_back(backup)
    spec: dict[str, Any] = {"order": host.signer.sign(then), "serial": then.serial, "desired": then.desired}
    host.api.patch(ASSIGNMENTS, GUEST, {"spec": spec}, namespace=host.namespace)
    await host.api.up()
    assert (await host.assignment(GUEST)).metadata.generation == before.metadata.generation


async def test_what_was_said_of_the_very_order_is_said_once_more(running: AgentHost) -> None:
    await put_back_and_ordered(running, SECOND)
    await running.told(GUEST, "Stopped")
    assert running.driver.stops[GUEST] == 1


@pytest.mark.parametrize("desired", ["Running", "Stopped"])
async def test_another_order_of_that_rank_is_told_to_be_none(running: AgentHost, desired: str) -> None:
    other = order(serial=2, desired=desired, labels={"tier": "front"})
    await put_back_and_ordered(running, other)
    await running.told(GUEST, "Stopped", outcome="Superseded")
    held = (await running.assignment(GUEST)).status.held
    assert held is not None
    assert (held.epoch, held.serial) == (1, 2), "the operator signs above it"
    await running.assign(order(serial=3))
    await running.told(GUEST, "Running")


async def test_a_report_that_somebody_else_wrote_over_is_told_again(running: AgentHost) -> None:
    said = (await running.assignment(GUEST)).status
    lie = {"status": {"outcome": "Refused", "held": {"epoch": 9, "serial": 9}}}
    running.api.patch(ASSIGNMENTS, GUEST, lie, namespace=running.namespace, subresource="status")

    async def is_told() -> bool:
        return (await running.assignment(GUEST)).status == said

    await eventually(is_told)
