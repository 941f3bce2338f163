"""Whoever asks too much at once is sent away; nobody else is, and the API stays there for the API server."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, make_mocked_request

from innkeeper.domain.host_usage import HostUsage
from innkeeper.kube.informer import Change, key_of
from innkeeper.kube.reviews import User
from innkeeper.query import documents
from innkeeper.query.callers import MAX_TOKENS_AT_ONCE, Callers
from innkeeper.query.limits import Limit
from innkeeper.query.refusal import RefusedError
from innkeeper.query.server import MAX_AT_ONCE, MAX_OF_HOSTS_AT_ONCE, MAX_OF_HOSTS_OF_ONE_USER
from innkeeper.query.trust import Trust
from innkeeper.state.subset import Subset
from innkeeper.views.guest import Guest
from innkeeper.workers.explaining import Explained
from tests.kit import objects
from tests.kit.objects import NAMESPACE, view
from tests.kit.queries import asked
from tests.kit.waiting import eventually, one_turn

BASE = f"/apis/{documents.API_VERSION}"
GUEST = f"{BASE}/namespaces/{NAMESPACE}/guestviews/web"


class SilentHost:
    """A host that answers once it is told to."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.asked = 0

    async def usage(self, host: str) -> HostUsage:
        self.asked += 1
        await self.answers.wait()
        return HostUsage(host=host, at="2026-01-01T00:00:00Z", window_s=1.0, guests=[])


@pytest.fixture
def subset() -> Subset:
    found = Subset()
    guest = view(objects.guest(status={"host": "silent", "cluster": "lab", "epoch": 1}), Guest)
    found.apply(Change(key_of(guest), None, guest))
    return found


async def code_of(client: TestClient, path: str, user: str) -> int:  # type: ignore[type-arg] # of aiohttp's own requests
    async with client.get(path, headers={"X-Remote-User": user}) as answer:
        if answer.status == 429:
            assert answer.headers["Retry-After"]
            assert (await answer.json())["reason"] == "TooManyRequests"
        return answer.status


async def test_questions_to_a_silent_host_keep_nobody_else_from_asking(subset: Subset) -> None:
    host = SilentHost()
    async with asked(subset, usage=host.usage) as client:
        flood = [asyncio.create_task(code_of(client, f"{GUEST}/usage", "tenant")) for _ in range(64)]
        sent_away = 64 - MAX_OF_HOSTS_OF_ONE_USER
        await eventually(lambda: sum(each.done() for each in flood) == sent_away)
        assert {each.result() for each in flood if each.done()} == {429}
        for path in ("/apis", f"/apis/{documents.GROUP}", BASE, "/openapi/v2"):
            assert await code_of(client, path, "the API server") == 200
        for path in (GUEST, f"{BASE}/guestviews"):
            assert await code_of(client, path, "tenant") == 200, "what asks no host has a limit of its own"
        other = asyncio.create_task(code_of(client, f"{GUEST}/usage", "other"))
        host.answers.set()
        assert await other == 200
        assert sorted(await asyncio.gather(*flood)) == [200] * MAX_OF_HOSTS_OF_ONE_USER + [429] * sent_away
    assert host.asked == 1


class SlowExplainer:
    """It answers only once it is told to."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()

    async def explain(self, _guest: Guest, *, hosts: Sequence[str]) -> Explained:
        """Wait, and find no fault."""
        await self.answers.wait()
        assert not hosts
        return Explained(blocked=None)


@pytest.mark.parametrize(
    ("question", "most"), [("usage", MAX_OF_HOSTS_AT_ONCE), ("explanation", MAX_AT_ONCE)]
)
async def test_discovery_is_answered_whatever_all_users_ask_together(
    subset: Subset, question: str, most: int
) -> None:
    host, explainer = SilentHost(), SlowExplainer()
    async with asked(subset, usage=host.usage, explainer=explainer) as client:
        flood: list[asyncio.Task[Any]] = [
            asyncio.create_task(code_of(client, f"{GUEST}/{question}", f"user-{number}"))
            for number in range(most + 10)
        ]
        await eventually(lambda: sum(each.done() for each in flood) == 10)
        assert await code_of(client, BASE, "the API server") == 200
        host.answers.set()
        explainer.answers.set()
        assert sorted(await asyncio.gather(*flood)) == [200] * most + [429] * 10


class SlowReviews:
    """An API server that takes its time to look at tokens."""

    async def user_of(self, _token: str) -> User | None:
        await asyncio.Event().wait()
        raise AssertionError


async def test_only_so_many_tokens_are_looked_at_at_once() -> None:
    callers = Callers(Trust(), SlowReviews())  # type: ignore[arg-type] # it reviews nothing
    request = make_mocked_request("GET", BASE, headers={"Authorization": "Bearer made-up"})
    looks = [asyncio.create_task(callers.user_of(request)) for _ in range(MAX_TOKENS_AT_ONCE)]
    await one_turn()
    with pytest.raises(RefusedError, match="too many"):
        await callers.user_of(request)
    for look in looks:
        look.cancel()
    await asyncio.gather(*looks, return_exceptions=True)


def test_a_limit_counts_what_runs_and_nothing_else() -> None:
    limit = Limit(most=3, most_of_one=2)
    with limit.one_of("a"), limit.one_of("a"):
        with pytest.raises(RefusedError, match="your queries"), limit.one_of("a"):
            pytest.fail("a third one of the same user")
        with limit.one_of("b"), pytest.raises(RefusedError, match="too many queries"), limit.one_of("c"):
            pytest.fail("a fourth one of all")
    with pytest.raises(KeyError), limit.one_of("a"):
        raise KeyError
    assert not limit._running, "who asks nothing is not remembered"
