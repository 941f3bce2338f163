"""kopf as a part of the operator's process: in a thread and an event loop of its own, and only while its kinds exist.

kopf cancels at its end whatever was started in its loop after it, and it ends when a kind vanishes under it. With a loop
of its own neither touches the guests' and hosts' workers, and it can be started again when the kinds are back.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from random import Random

import kopf
import structlog

from innkeeper.clock import Clock
from innkeeper.controllers.handlers import Home, RareKinds, registry
from innkeeper.controllers.loop import ConnectionsEnd
from innkeeper.controllers.storage import SettledByStatus
from innkeeper.domain.names import GROUP
from innkeeper.kube.credentials import Credentials
from innkeeper.telemetry.metrics import OperatorMetrics

log = structlog.get_logger(__name__)

BACKOFFS = (1, 1, 2, 3, 5, 8, 13, 21, 30)
RESTART_S = 2.0
STOP_WITHIN_S = 10.0


def settings() -> kopf.OperatorSettings:
    """Return kopf's settings: no Events, no scanning, no peering, bounded back-offs, nothing stored in objects."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.posting.loggers = False
    chosen.scanning.disabled = True
    chosen.watching.server_timeout = 600
    chosen.watching.client_timeout = 660
    chosen.watching.connect_timeout = 10
    chosen.watching.chunk_size = 500
    chosen.networking.request_timeout = 30
    chosen.networking.error_backoffs = BACKOFFS
    chosen.networking.enforce_retry_after = True
    chosen.queueing.error_delays = BACKOFFS
    chosen.execution.default_backoff = 5
    chosen.persistence.finalizer = f"{GROUP}/kopf"
    chosen.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=GROUP, v1=False)
    chosen.persistence.diffbase_storage = SettledByStatus()
    chosen.persistence.consistency_timeout = 0
    chosen.peering.standalone = True
    chosen.process.ultimate_exiting_timeout = None
    return chosen


class RareKindHandlers:
    """Runs kopf while `kinds_exist` says that its kinds are served."""

    def __init__(
        self,
        rare: RareKinds,
        *,
        credentials: Credentials,
        kinds_exist: Callable[[], bool],
        clock: Clock,
        metrics: OperatorMetrics,
        recheck_s: float,
        random: Random | None = None,
    ) -> None:
        self._rare = rare
        self._credentials = credentials
        self._kinds_exist = kinds_exist
        self._clock = clock
        self._metrics = metrics
        self._recheck_s = recheck_s
        self._random = random or Random()  # noqa: S311 - it only spreads questions over time

    async def run(self) -> None:
        """Run kopf for ever; where it ends, start it again."""
        while True:
            if self._kinds_exist():
                await self._run_once()
            await self._clock.sleep(RESTART_S)

    async def _run_once(self) -> None:
        stop = threading.Event()
        loop = asyncio.get_running_loop()
        home = Home(loop)
        ended = asyncio.Event()
        thread = threading.Thread(
            target=self._thread,
            args=(home, stop, lambda: _tell(loop, ended)),
            name="kopf",
            daemon=True,  # a handler that hangs must not keep the process from ending
        )
        self._metrics.kopf_starts.inc()
        thread.start()
        try:
            while not ended.is_set() and self._kinds_exist():
                await self._look_again(ended)
        finally:
            stop.set()
            await self._wait_for(ended)
        log.info("kopf_ended")

    async def _look_again(self, ended: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(RESTART_S):
                await ended.wait()
        except TimeoutError:
            return

    async def _wait_for(self, ended: asyncio.Event) -> None:
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await ended.wait()
        except TimeoutError:
            log.warning("kopf_hangs", seconds=STOP_WITHIN_S)

    def _thread(self, home: Home, stop: threading.Event, ended: Callable[[], object]) -> None:
        handlers = registry(
            self._rare,
            home=home,
            credentials=self._credentials,
            recheck_s=self._recheck_s,
            random=self._random,
        )
        try:
            with asyncio.Runner(loop_factory=ConnectionsEnd) as runner:
                runner.run(_operate(handlers, stop))
        except Exception as error:
            logging.getLogger(__name__).debug("kopf ended", exc_info=error)
            log.warning("kopf_failed", error=f"{type(error).__name__}: {error}")
        finally:
            ended()


def _tell(loop: asyncio.AbstractEventLoop, ended: asyncio.Event) -> None:
    """Tell the loop that kopf ended; a loop that waited no longer may be closed by then."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(ended.set)


async def _operate(handlers: kopf.OperatorRegistry, stop: threading.Event) -> None:
    try:
        await kopf.operator(
            registry=handlers, settings=settings(), clusterwide=True, standalone=True, stop_flag=stop
        )
    finally:
        loop = asyncio.get_running_loop()
        if isinstance(loop, ConnectionsEnd):
            await loop.abort_connections()
