"""Several operators lead at once, as they may without an election: none takes another's mark for a store put back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from innkeeper.clock import SystemClock
from innkeeper.domain.names import SYSTEM_NAMESPACE
from innkeeper.kube.client import Client
from innkeeper.kube.errors import ApiError, ConflictError
from innkeeper.kube.resources import CONFIG_MAPS
from innkeeper.processes import gate as gates
from innkeeper.processes.gate import HistoryLostError
from innkeeper.processes.store_history import MARGIN, MOST_TERMS, OBJECT, TRIES, StoreHistory
from tests.kit.fake_api import Call, CutError, FakeApi
from tests.kit.waiting import eventually
from tests.scenario.rebuild.conftest import Scene
from tests.scenario.rebuild.gates import a_gate, asking, ended, marks

PATCH = "patch configmaps*"


@pytest.fixture
async def history(scene: Scene) -> AsyncIterator[StoreHistory]:
    async with Client(scene.api.credentials("operator"), request_timeout_s=5) as client:
        yield StoreHistory(client, SystemClock(), namespace=SYSTEM_NAMESPACE)


def terms(api: FakeApi) -> list[str]:
    found = marks(api)
    assert found is not None
    return found["term"].split()


async def test_each_of_many_at_once_leaves_its_mark(scene: Scene, history: StoreHistory) -> None:
    first = await asyncio.gather(*(history.mark_term() for _ in range(5)))
    again = await asyncio.gather(*(history.mark_term_again(each) for each in first))
    assert None not in again
    assert {*first, *again} <= set(terms(scene.api))


async def test_a_known_mark_outlives_those_whose_answers_never_came(
    scene: Scene, history: StoreHistory
) -> None:
    async def cut(call: Call, moment: str) -> None:
        if call.matches(PATCH) and moment == "after":
            raise CutError

    known = await history.mark_term()
    scene.api.on_write = cut
    for _ in range(2 * MOST_TERMS):
        with pytest.raises(ApiError):
            await history.mark_term_again(known)
    scene.api.on_write = None
    assert len(terms(scene.api)) == MOST_TERMS
    assert await history.mark_term_again(known)


async def test_whose_mark_is_gone_leaves_none(scene: Scene, history: StoreHistory) -> None:
    await history.mark_term()
    before = terms(scene.api)
    assert await history.mark_term_again("of-what-was-lost") is None
    assert terms(scene.api) == before, "a new mark would hide that something was lost"


async def test_one_that_others_come_before_each_time_says_so(scene: Scene, history: StoreHistory) -> None:
    await history.mark_term()
    asked = len(scene.api.called(PATCH))
    scene.api.faults.fail(PATCH, status=409, times=TRIES)
    with pytest.raises(ConflictError):
        await history.mark_term()
    assert len(scene.api.called(PATCH)) - asked == TRIES
    assert await history.mark_term()


async def test_whoever_leads_goes_on_while_others_begin_and_begin(
    scene: Scene, history: StoreHistory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "LOOK_S", 0.05)
    async with a_gate(scene.api, asking(tmp_path, snapshot_every_s=3600)) as gate:
        assert await gate.enter()
        async with ended(gate.guard()) as guard:
            for _ in range(3 * MOST_TERMS):
                await history.mark_term()
                await eventually(lambda: guard.done() or is_far_from_the_end(scene.api, gate._term))
                assert not guard.done()


def is_far_from_the_end(api: FakeApi, term: str) -> bool:
    return term in terms(api)[: MOST_TERMS - MARGIN]


async def test_a_store_put_back_between_look_and_mark_is_found(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gates, "LOOK_S", 0.05)
    async with a_gate(scene.api, asking(tmp_path, snapshot_every_s=1)) as gate:
        assert await gate.enter()
        mark_again = gate._history.mark_term_again

        async def after_it_was_put_back(known: str) -> str | None:
            patch = {"data": {"term": "of-before"}}
            scene.api.patch(CONFIG_MAPS, OBJECT, patch, namespace=SYSTEM_NAMESPACE)
            return await mark_again(known)

        monkeypatch.setattr(gate._history, "mark_term_again", after_it_was_put_back)
        with pytest.raises(HistoryLostError):
            async with asyncio.timeout(60):
                await gate.guard()
        assert terms(scene.api) == ["of-before"]
