"""The query API without TLS and an API server: a subset and what answers from it, asked over HTTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from innkeeper.clock import Clock
from innkeeper.kube.reviews import Deed, User
from innkeeper.query.ages import ViewAges
from innkeeper.query.server import Explainer, QueryServer
from innkeeper.query.usage import UsageOf
from innkeeper.state.subset import Subset
from tests.kit.clock import ManualClock

NEW = ViewAges(of_guests=lambda: 0.0, of_all=lambda: 0.0)


class Anybody:
    """Callers and their rights: whoever asks may do it; `meanwhile` happens while that is looked up."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[Deed], None] = lambda _deed: None

    async def user_of(self, request: web.Request) -> User:
        """Believe whatever name somebody gives."""
        return User(name=request.headers.get("X-Remote-User", "somebody"))

    async def allows(self, _user: object, deed: Deed) -> bool:
        """Let it be done."""
        self.meanwhile(deed)
        return True


@asynccontextmanager
async def asked(
    subset: Subset,
    *,
    explainer: Explainer | None = None,
    anybody: Anybody | None = None,
    clock: Clock | None = None,
    ages: ViewAges = NEW,
    usage: UsageOf | None = None,
) -> AsyncIterator[TestClient]:  # type: ignore[type-arg] # the types of aiohttp's own requests
    """Give a client of a query server that answers from a subset."""
    anybody = anybody or Anybody()
    server = QueryServer(
        subset,
        callers=anybody,  # type: ignore[arg-type] # who asks matters here no more than what they may
        access=anybody,  # type: ignore[arg-type] # the same
        explainer=explainer,  # type: ignore[arg-type] # None where nobody asks for an explanation
        ages=ages,
        version=lambda: "1",
        is_complete=lambda: True,
        clock=clock or ManualClock(),
    )
    if usage is not None:
        server.tell_of_usage(usage)
    async with TestClient(TestServer(server.application())) as client:
        yield client
