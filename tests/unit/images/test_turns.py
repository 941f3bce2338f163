"""Whose turn it is when more want one than there are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from innkeeper.images.turns import Turns
from tests.kit.waiting import one_turn


class Work:
    """What wants turns. `begun` tells in which order they were given."""

    def __init__(self, at_once: int) -> None:
        self.turns = Turns(at_once)
        self.begun: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def want(self, *names: str) -> None:
        """Have each, named `namespace/name`, wait for a turn; it holds that until it is ended."""
        for name in names:
            self._ends[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._do(name))
            await one_turn()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self.tasks[name]
        await one_turn()

    async def leave(self, name: str) -> None:
        self.tasks[name].cancel()
        await asyncio.gather(self.tasks[name], return_exceptions=True)
        await one_turn()

    async def _do(self, name: str) -> None:
        async with self.turns.turn(name.partition("/")[0]):
            self.begun.append(name)
            await self._ends[name].wait()


@asynccontextmanager
async def work(at_once: int) -> AsyncIterator[Work]:
    made = Work(at_once)
    yield made
    for name in made.tasks:
        await made.leave(name)


async def test_one_turn_is_left_to_other_namespaces() -> None:
    async with work(3) as made:
        await made.want("a/1", "a/2", "a/3", "b/1")
        assert made.begun == ["a/1", "a/2", "b/1"]
        assert made.turns.waiting("a") == 1


async def test_namespaces_take_turns_however_much_each_wants() -> None:
    async with work(1) as made:
        await made.want("a/1", "a/2", "a/3", "b/1", "b/2", "c/1")
        for name in ("a/1", "a/2", "b/1", "c/1", "a/3"):
            assert made.begun[-1] == name
            await made.end(name)
        assert made.begun == ["a/1", "a/2", "b/1", "c/1", "a/3", "b/2"]


async def test_who_leaves_the_line_takes_no_turn() -> None:
    async with work(1) as made:
        await made.want("a/1", "a/2", "b/1")
        await made.leave("a/2")
        assert made.turns.waiting("a") == 0
        await made.end("a/1")
        assert made.begun == ["a/1", "b/1"]


async def test_a_turn_that_is_given_to_who_leaves_goes_to_the_next() -> None:
    async with work(1) as made, AsyncExitStack() as first:
        await first.enter_async_context(made.turns.turn("a"))
        await made.want("a/1", "b/1")
        await first.aclose()  # it is given, and a/1 has not run since
        await made.leave("a/1")
        assert made.begun == ["b/1"]


async def test_those_who_leave_with_the_holder_keep_nobody_waiting() -> None:
    """As when one closes: the holder hands its turn on before those who were cancelled with it have left the line."""
    async with work(1) as made:
        await made.want("a/1", "a/2", "b/1", "a/3", "b/2")
        leaving = [made.tasks[name] for name in ("a/1", "a/2", "b/1")]
        for task in leaving:
            task.cancel()
        ends = await asyncio.gather(*leaving, return_exceptions=True)
        assert [type(end) for end in ends] == [asyncio.CancelledError] * 3
        await one_turn()
        assert made.begun[:2] == ["a/1", "a/3"]
        await made.end("a/3")
        assert made.begun[2:] == ["b/2"]
        await made.end("b/2")
        assert (made.turns.waiting("a"), made.turns.waiting("b")) == (0, 0)


async def test_what_fails_gives_its_turn_back() -> None:
    async with work(1) as made:
        with pytest.raises(ZeroDivisionError):
            async with made.turns.turn("a"):
                _ = 1 / 0
        await made.want("a/1")
        assert made.begun == ["a/1"]
