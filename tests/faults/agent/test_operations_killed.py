"""The agent is killed at each step of an operation, and the next one goes on: it is done exactly once."""

import asyncio
import itertools

import pytest

from innkeeper.agent import reconcile
from innkeeper.agent.store.operations import OperationRecord
from innkeeper.agent.store.store import Store
from innkeeper.domain.orders import Order, OrderOperation
from innkeeper.domain.reasons import OperationPhase
from innkeeper.errors import InnkeeperError
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import guest_id, order

GUEST = guest_id()
REBOOT = ["before-stop", "after-stop", "before-define", "after-define", "before-start", "after-start"]
POINTS = [(kind, point) for kind in ("Reboot", "HardReboot") for point in REBOOT] + [
    ("Pause", "before-pause"),
    ("Pause", "after-pause"),
    ("Resume", "before-resume"),
    ("Resume", "after-resume"),
]
REASONS = {"Reboot": "Running", "HardReboot": "Running", "Pause": "Paused", "Resume": "Running"}


def asking(kind: str, *, serial: int, number: int = 1) -> Order:
    """An order of a guest that nobody would start again by itself, with an operation."""
    operation = OrderOperation(id=f"operation-{number}", kind=kind)
    return order(serial=serial, operation=operation, spec={"restart_policy": "Never"})


async def prepared(host: AgentHost, kind: str) -> None:
    """Bring the guest to where the operation makes a difference."""
    if kind == "Resume":
        await host.assign(asking("Pause", serial=2, number=0))
        await host.ended_operation(GUEST, "operation-0")


async def assert_done_once(host: AgentHost, kind: str) -> None:
    """One operation was told to have succeeded, and the machine was touched no more often than that takes."""
    assert (await host.ended_operation(GUEST, "operation-1")).phase == "Succeeded"
    await host.told(GUEST, REASONS[kind])
    restarts = 1 if kind in ("Reboot", "HardReboot") else 0
    assert host.driver.starts[GUEST] == 1 + restarts
    assert host.driver.stops[GUEST] == restarts
    assert host.driver.running() == {GUEST}


@pytest.mark.parametrize(("kind", "point"), POINTS)
async def test_killed_at_a_step_of_the_machine(running: AgentHost, kind: str, point: str) -> None:
    await prepared(running, kind)
    running.gates.held.add(point)
    await running.assign(asking(kind, serial=3))
    await running.gates.reached[point].wait()
    await running.kill()
    running.gates.open()
    running.start()
    await assert_done_once(running, kind)


class StoreAxe:
    """Holds the agent for ever at the `nth` write of an operation, before it is kept or right after."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, nth: int, moment: str) -> None:
        self.fallen = asyncio.Event()
        self.lifted = asyncio.Event()
        put, count = Store.put_operation, itertools.count(1)

        async def put_operation(store: Store, record: OperationRecord) -> None:
            is_mine = next(count) == nth
            if is_mine and moment == "before":
                self.fallen.set()
                await self.lifted.wait()
                raise asyncio.CancelledError
            await put(store, record)
            if is_mine:
                self.fallen.set()
                await self.lifted.wait()

        monkeypatch.setattr(Store, "put_operation", put_operation)


WRITES = [
    (kind, write)
    for kind, count in (("Reboot", 3), ("HardReboot", 3), ("Pause", 2), ("Resume", 2))
    for write in range(1, count + 1)
]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("kind", "write"), WRITES)
async def test_killed_at_a_write_of_the_store(
    running: AgentHost, monkeypatch: pytest.MonkeyPatch, kind: str, write: int, moment: str
) -> None:
    await prepared(running, kind)
    axe = StoreAxe(monkeypatch, nth=write, moment=moment)
    await running.assign(asking(kind, serial=3))
    await axe.fallen.wait()
    killing = asyncio.create_task(running.kill())
    axe.lifted.set()
    await killing
    running.start()
    await assert_done_once(running, kind)


async def test_a_store_that_keeps_nothing_for_a_while_is_asked_again(
    running: AgentHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "STORE_AGAIN_S", 0.01)
    put, failures = Store.put_operation, iter(range(4))

    async def put_operation(store: Store, record: OperationRecord) -> None:
        if next(failures, None) is not None:
            raise InnkeeperError("the disk is full", reason="StoreUnusable")
        await put(store, record)

    monkeypatch.setattr(Store, "put_operation", put_operation)
    await running.assign(asking("Reboot", serial=2))
    await assert_done_once(running, "Reboot")


async def test_a_machine_that_was_started_by_somebody_else_meanwhile_is_taken_for_rebooted(
    running: AgentHost,
) -> None:
    running.gates.held.add("before-stop")
    await running.assign(asking("Reboot", serial=2))
    await running.gates.reached["before-stop"].wait()
    await running.kill()
    running.gates.open()
    await running.driver.stop(GUEST, grace_s=0)
    await running.driver.start(GUEST)
    running.start()
    told = await running.ended_operation(GUEST, "operation-1")
    assert told.phase == OperationPhase.SUCCEEDED
    assert running.driver.starts[GUEST] == 2
