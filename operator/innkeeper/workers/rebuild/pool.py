"""Many pieces of the same work, a few at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def for_each(items: Iterable[T], work: Callable[[T], Awaitable[None]], *, workers: int) -> None:
    """Do `work` for every item; the first failure ends all of it and is raised."""
    waiting = iter(items)

    async def take() -> None:
        for item in waiting:  # shared: each item is somebody's
            await work(item)

    tasks = [asyncio.ensure_future(take()) for _ in range(workers)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
