"""Ends whoever writes as one user, right before or right after one of its writes."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from innkeeper.errors import InnkeeperError
from tests.kit.fake_api import Call, CutError

KILLED = "killed"


class Kill:
    """Ends a user at its nth write: nothing of that user is carried out from then on."""

    def __init__(self, nth: int, moment: str) -> None:
        self.fell = asyncio.Event()
        self._nth = nth
        self._moment = moment
        self._count = 0

    def __call__(self, call: Call, moment: str) -> None:
        if call.user != KILLED or not call.is_write:
            return
        if self.fell.is_set():
            raise CutError
        self._count += moment == self._moment
        if self._count == self._nth and moment == self._moment:
            self.fell.set()
            raise CutError

    async def ends(self, run: Coroutine[Any, Any, Any]) -> None:
        """Run something until it is ended."""
        running = asyncio.ensure_future(run)
        fell = asyncio.ensure_future(self.fell.wait())
        async with asyncio.timeout(10):
            await asyncio.wait({running, fell}, return_when=asyncio.FIRST_COMPLETED)
        for task in (running, fell):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, InnkeeperError):
            await running
        assert self.fell.is_set()
