"""Files that are opened in a thread by who may leave before they are open: with a deadline, or when a reader goes away.

A disk may hold the thread for long, and nobody waits for it then. What it opens in the end is closed, not lost.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar


class Closable(Protocol):
    """What has to be closed."""

    def close(self) -> None:
        """Give it back."""
        ...


File = TypeVar("File", bound=Closable)


@asynccontextmanager
async def opened(open_it: Callable[[], File]) -> AsyncIterator[File]:
    """Give what `open_it` returns, and close it in any case."""
    opening = asyncio.ensure_future(asyncio.to_thread(open_it))
    try:
        file = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise
    try:
        yield file
    finally:
        file.close()


def _close(opening: "asyncio.Task[File]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
