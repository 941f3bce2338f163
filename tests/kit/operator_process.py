"""The real operator in the test's own process, and the image server that it asks: a stub that says what a test wants."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from aiohttp import web

from innkeeper.clock import Clock, SystemClock
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.processes.operator import OperatorProcess
from innkeeper.settings import OperatorSettings
from tests.kit.waiting import eventually


def an_operator(client: Client, *, clock: Clock | None = None, **settings: Any) -> OperatorProcess:
    """Return an operator that does not run yet."""
    chosen = OperatorSettings(**{"metrics_port": 0, "host_status_delay_s": 0.2, **settings})
    return OperatorProcess(chosen, client=client, clock=clock or SystemClock())


@asynccontextmanager
async def running_operator(
    credentials: Credentials, *, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[OperatorProcess]:
    """Run an operator until the context ends; whatever ended it before is raised."""
    async with Client(credentials) as client:
        process = an_operator(client, clock=clock, **settings)
        task = asyncio.create_task(process.run())
        try:
            yield process
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if not task.cancelled():
                task.result()  # beside what the test itself waited for in vain


async def leads(process: OperatorProcess) -> None:
    """Wait until this operator works."""
    await eventually(lambda: process.leading, deadline_s=30)


class StubImageServer:
    """Answers /v1/inspect with `answers[image name]`, else with Ready."""

    def __init__(self) -> None:
        self.answers: dict[str, dict[str, Any]] = {}
        self.asked: list[dict[str, Any]] = []
        self.tokens: set[str] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        self._runner = web.AppRunner(self.application(), access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def application(self) -> web.Application:
        """Return what it serves."""
        application = web.Application()
        application.router.add_post("/v1/inspect", self._inspect)
        return application

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._runner is not None
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _inspect(self, request: web.Request) -> web.Response:
        question = json.loads(await request.read())
        self.asked.append(question)
        self.tokens.add(request.headers.get("Authorization", ""))
        ready = {
            "state": "Ready",
            "format": question["format"],
            "size": 1024,
            "virtualSize": 1024**2,
            "digest": question["digest"],
        }
        return web.json_response(self.answers.get(question["name"], ready))
