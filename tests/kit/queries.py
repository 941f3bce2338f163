"""The query API without TLS and an API server: a subset and what answers from it, asked over HTTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp.test_utils import TestClient, TestServer

from innkeeper.clock import Clock
from innkeeper.kube.reviews import Deed
from innkeeper.query.server import Explainer, QueryServer
from innkeeper.state.subset import Subset
from tests.kit.clock import ManualClock


class Anybody:
    """Callers and their rights: whoever asks may do it; `meanwhile` happens while that is looked up."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[Deed], None] = lambda _deed: None

    async def user_of(self, _request: object) -> str:
        """Return the same name for everybody."""
        return "somebody"

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
) -> AsyncIterator[TestClient]:  # type: ignore[type-arg] # the types of aiohttp's own requests
    """Give a client of a query server that answers from a subset."""
    anybody = anybody or Anybody()
    server = QueryServer(
        subset,
        callers=anybody,  # type: ignore[arg-type] # who asks matters here no more than what they may
        access=anybody,  # type: ignore[arg-type] # the same
        explainer=explainer,  # type: ignore[arg-type] # None where nobody asks for an explanation
        age_s=lambda: 0.0,
        version=lambda: "1",
        is_complete=lambda: True,
        clock=clock or ManualClock(),
    )
    async with TestClient(TestServer(server.application())) as client:
        yield client
