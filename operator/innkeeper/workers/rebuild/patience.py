"""Calls that are made again where another try may help: an API server that just began, or is busy, or lost an answer."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from innkeeper.clock import Clock
from innkeeper.errors import InnkeeperError
from innkeeper.kube.errors import ForbiddenError, UnauthorizedError

log = structlog.get_logger(__name__)

R = TypeVar("R")

TRIES = 7
FIRST_PAUSE_S = 0.2  # twice as long after each try


async def patiently(call: Callable[[], Awaitable[R]], clock: Clock) -> R:
    """Return what a call returns.

    Raises:
        InnkeeperError: another try cannot help, or did not.
    """
    pause = FIRST_PAUSE_S
    for _ in range(TRIES - 1):
        try:
            return await call()
        except InnkeeperError as error:
            if not error.retryable or isinstance(error, ForbiddenError | UnauthorizedError):
                raise
            log.info("call_again", reason=error.reason, message=error.message, after_s=pause)
        await clock.sleep(pause)
        pause *= 2
    return await call()
