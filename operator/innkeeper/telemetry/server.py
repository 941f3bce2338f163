"""The HTTP server of every process: /metrics, /healthz and /readyz.

It serves facts that others hold (a registry, readiness checks) and never changes anything. /healthz says that
the event loop turns; /readyz says that lists are complete and watches are fresh, and names what is missing.
"""

from collections.abc import Iterator
from types import TracebackType
from typing import Self

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from innkeeper.telemetry.readiness import Readiness


class _Served(Collector):
    """A registry as it is served: without the times at which counters were made, which would double what is kept."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [each for each in metric.samples if not each.name.endswith("_created")]
            yield metric


class TelemetryServer:
    """Serves while it is entered as a context."""

    def __init__(self, *, listen: str, port: int, registry: CollectorRegistry, readiness: Readiness) -> None:
        self._listen = listen
        self._port = port
        self._served = _Served(registry)
        self._readiness = readiness
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port that is really listened on: another one than was asked for where that was 0."""
        assert self._runner is not None, "the server is not entered"  # noqa: S101 - misuse by our own code
        return int(self._runner.addresses[0][1])

    async def __aenter__(self) -> Self:
        """Start to listen."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._ready)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._listen, self._port).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop to listen."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._served), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"healthy": True})

    async def _ready(self, _request: web.Request) -> web.Response:
        troubles = self._readiness.troubles()
        return web.json_response(
            {"ready": not troubles, "waitingFor": dict(troubles)}, status=503 if troubles else 200
        )
