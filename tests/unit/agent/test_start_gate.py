"""The gate without an API server that answers: open after a while, but not beside another agent that may be alive."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from innkeeper.agent.start_gate import StartGate
from tests.kit.clock import ManualClock
from tests.kit.waiting import eventually

GRACE_S = 30.0


class Scene:
    """A gate whose API server never answers."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.gate = StartGate(
            self.clock, store_id="store", grace_s=GRACE_S, on_open=lambda: None, trusts_copy=False
        )

    @asynccontextmanager
    async def running(self, is_unsettled: Callable[[], bool]) -> AsyncIterator[None]:
        never = asyncio.Event()
        task = asyncio.create_task(self.gate.run([never], is_unsettled=is_unsettled))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def pass_time(self, seconds: float) -> None:
        await eventually(lambda: self.clock.sleepers)
        self.clock.advance(seconds)
        await eventually(lambda: self.clock.sleepers or self.gate.is_open)


async def test_the_grace_ends() -> None:
    scene = Scene()
    async with scene.running(lambda: False):
        await scene.pass_time(GRACE_S)
        assert scene.gate.is_open


async def test_it_is_longer_while_another_agent_may_be_alive_or_the_api_server_answers() -> None:
    scene, rivals = Scene(), ["another"]
    async with scene.running(lambda: bool(rivals)):
        await scene.pass_time(GRACE_S)
        await scene.pass_time(1)
        assert not scene.gate.is_open
        rivals.clear()
        await scene.pass_time(1)
        assert scene.gate.is_open


async def test_what_nobody_settles_holds_guests_for_a_minute_more() -> None:
    scene = Scene()
    async with scene.running(lambda: True):
        await scene.pass_time(GRACE_S)
        for _ in range(59):
            await scene.pass_time(1)
        assert not scene.gate.is_open
        await scene.pass_time(1)
        assert scene.gate.is_open
