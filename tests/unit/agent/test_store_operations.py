"""What the agent's database keeps of operations."""

from dataclasses import replace
from pathlib import Path

import pytest

from innkeeper.agent.operations.book import OperationBook
from innkeeper.agent.store.operations import KEPT_OF_A_GUEST, OperationRecord, end_of
from innkeeper.agent.store.store import Store
from innkeeper.domain.orders import OrderOperation
from innkeeper.domain.reasons import OperationPhase
from tests.kit.agent_orders import order

AT = "2026-01-01T00:00:00Z"
BEGUN = OperationRecord(
    guest_id="g1",
    id="o1",
    kind="Reboot",
    phase=OperationPhase.RUNNING,
    instance="boot/7",
    started_at=AT,
)
FAILED = replace(
    BEGUN,
    phase=OperationPhase.FAILED,
    instance="",
    finished_at=AT,
    reason="StartFailed",
    message="the machine does not start",
)


@pytest.mark.parametrize("last", [BEGUN, FAILED], ids=["begun", "failed"])
async def test_how_far_an_operation_is_is_known_after_a_restart(
    tmp_path: Path, last: OperationRecord
) -> None:
    store = await Store.open(tmp_path / "agent.db", host="inn-a", new_id="id-1")
    await store.put_operation(BEGUN)
    await store.put_operation(last)
    await store.close()
    again = await Store.open(tmp_path / "agent.db", host="inn-a", new_id="id-2")
    assert await again.operations() == [last]
    await again.close()


async def test_the_newest_operations_of_each_guest_stay(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "agent.db", host="inn-a", new_id="id-1")
    await store.put_operation(replace(BEGUN, guest_id="g2"))
    for number in range(KEPT_OF_A_GUEST + 2):
        await store.put_operation(replace(BEGUN, id=f"o{number}"))
    kept = await store.operations()
    await store.close()
    assert [each.id for each in kept if each.guest_id == "g1"] == [
        f"o{number}" for number in range(2, KEPT_OF_A_GUEST + 2)
    ]
    assert [each.id for each in kept if each.guest_id == "g2"] == ["o1"]


async def test_one_that_is_asked_for_again_after_very_many_others_is_not_due(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "agent.db", host="inn-a", new_id="id-1")
    book = OperationBook(store, on_news=lambda _: None)
    asked = order(operation=OrderOperation(id="o0", kind="Reboot"))
    for number in range(200):
        await book.put(replace(FAILED, guest_id=asked.guest_id, id=f"o{number}"))
    again = OperationBook(store, on_news=lambda _: None)
    await again.load()
    known = again.get(asked)
    await store.close()
    assert [each.due(asked) for each in (book, again)] == [None, None]
    assert known is not None
    assert known.reason == "StartFailed", "how it ended is told as well"


async def test_an_end_is_a_step_of_the_guests_history_and_a_line_of_the_log(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "agent.db", host="inn-a", new_id="id-1")
    await store.put_operation(BEGUN)
    assert await store.changes() == []
    await store.put_operation(FAILED)
    [line] = await store.changes()
    await store.close()
    assert (line.guest_id, line.what, line.at) == ("g1", "RebootFailed", AT)
    step = end_of(FAILED)
    assert step is not None
    assert (step.reason, step.message) == ("RebootFailed", "o1: StartFailed: the machine does not start")
    assert end_of(BEGUN) is None
