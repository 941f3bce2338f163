"""The client fails in time and by name: late, cut, huge and foreign answers each become one error.

It never tries again by itself, and it never waits or reads without end.
"""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from innkeeper.kube import answers, errors
from innkeeper.kube.client import Client
from innkeeper.kube.credentials import Credentials
from innkeeper.kube.resources import CONFIG_MAPS, GUESTS
from tests.kit.fake_api import CutError, FakeApi
from tests.kit.fake_api_faults import Call
from tests.kit.waiting import eventually

BODY = {"metadata": {"name": "a"}}


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as fake:
        yield fake


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[Client]:
    async with Client(api.credentials(), request_timeout_s=60) as found:
        yield found


async def test_a_late_answer_is_no_answer(api: FakeApi) -> None:
    late = api.faults.hold("get *")
    async with Client(api.credentials(), request_timeout_s=0.5) as client:
        with pytest.raises(errors.UnavailableError, match="does not answer"):
            await client.get(CONFIG_MAPS, "a", namespace="default")
    assert late.gate is not None
    late.gate.set()


async def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        credentials = Credentials(server=f"http://127.0.0.1:{free.getsockname()[1]}")
        async with Client(credentials, request_timeout_s=5) as client:
            with pytest.raises(errors.UnavailableError) as refusal:
                await client.get(CONFIG_MAPS, "a", namespace="default")
    assert refusal.value.status == 0
    assert refusal.value.retryable


@pytest.mark.parametrize("after", [False, True])
async def test_a_cut_connection_says_nothing_about_the_write(
    api: FakeApi, client: Client, *, after: bool
) -> None:
    api.faults.cut("create *", after=after)
    with pytest.raises(errors.UnavailableError):
        await client.create(CONFIG_MAPS, BODY, namespace="default")
    assert (api.get(CONFIG_MAPS, "a", namespace="default") is not None) is after
    assert len(api.called("create *")) == 1, "the client must not try a write again by itself"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(409, errors.ConflictError), (410, errors.GoneError), (500, errors.UnavailableError)],
)
async def test_each_refusal_is_told_once(
    api: FakeApi, client: Client, status: int, kind: type[errors.ApiError]
) -> None:
    api.faults.fail("get *", status=status)
    with pytest.raises(kind):
        await client.get(CONFIG_MAPS, "a", namespace="default")
    assert len(api.called("get *")) == 1


async def test_the_server_says_when_to_come_back(api: FakeApi, client: Client) -> None:
    api.faults.fail("get *", status=429, retry_after_s=17)
    with pytest.raises(errors.ThrottledError) as refusal:
        await client.get(CONFIG_MAPS, "a", namespace="default")
    assert refusal.value.retry_after_s == 17


async def test_metadata_alone_needs_no_content(api: FakeApi, client: Client) -> None:
    spec = {"image": {"name": "debian"}, "flavor": "small", "interfaces": [{"pool": "p"}]}
    for name in ("a", "b", "c"):
        api.create(GUESTS, {"metadata": {"name": name}, "spec": spec}, namespace="default")
    listing = await client.list_metadata(GUESTS, limit=2)
    assert [each.metadata.name for each in listing.items] == ["a", "b", "c"]


async def test_pages_that_always_expire_end_in_an_error(api: FakeApi, client: Client) -> None:
    for name in ("a", "b", "c"):
        api.create(CONFIG_MAPS, {"metadata": {"name": name}}, namespace="default")
    api.faults.expire_pages(2)
    with pytest.raises(errors.GoneError):
        await client.list(CONFIG_MAPS, limit=1)
    assert len((await client.list(CONFIG_MAPS, limit=1)).items) == 3


async def test_a_killed_writer_can_be_placed_before_and_after_each_write(
    api: FakeApi, client: Client
) -> None:
    moments: list[str] = []

    def kill(call: Call, moment: str) -> None:
        moments.append(f"{moment} {call}")
        if moment == "after":
            raise CutError

    api.on_write = kill
    with pytest.raises(errors.UnavailableError):
        await client.create(CONFIG_MAPS, BODY, namespace="default")
    await client.get(CONFIG_MAPS, "a", namespace="default")
    assert moments == ["before create configmaps default/", "after create configmaps default/a"]


async def serve(answer: web.StreamResponse | str, *, status: int = 200) -> tuple[web.AppRunner, Credentials]:
    """Serve one answer to everything."""

    async def handle(_request: web.Request) -> web.StreamResponse:
        if isinstance(answer, str):
            return web.Response(text=answer, status=status)
        return answer

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, Credentials(server=f"http://127.0.0.1:{runner.addresses[0][1]}")


@pytest.mark.parametrize(
    ("text", "status", "kind"),
    [
        ("<html>a proxy's page</html>", 200, errors.UnreadableError),
        ("{}", 200, errors.UnreadableError),
        ("<html>bad gateway</html>", 502, errors.UnavailableError),
        ("", 503, errors.UnavailableError),
        ("[]", 404, errors.NotFoundError),
        ("moved", 302, errors.ApiError),
        ("x" * 1_000_000, 500, errors.UnavailableError),
    ],
)
async def test_who_answers_is_not_always_an_api_server(
    text: str, status: int, kind: type[errors.ApiError]
) -> None:
    runner, credentials = await serve(text, status=status)
    try:
        async with Client(credentials) as client:
            with pytest.raises(kind) as refusal:
                await client.get(CONFIG_MAPS, "a", namespace="default")
    finally:
        await runner.cleanup()
    assert len(refusal.value.message) <= errors.MAX_MESSAGE


async def test_an_answer_without_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("innkeeper.kube.client.MAX_ANSWER_BYTES", 10_000)
    runner, credentials = await serve("x" * 20_000)
    try:
        async with Client(credentials) as client:
            with pytest.raises(errors.UnavailableError, match="larger than 10000 bytes"):
                await client.list(CONFIG_MAPS)
    finally:
        await runner.cleanup()
    assert answers.MAX_ANSWER_BYTES < 2**30


async def test_a_cancelled_call_leaves_the_client_usable(api: FakeApi, client: Client) -> None:
    fault = api.faults.hold("get *")
    call = asyncio.create_task(client.get(CONFIG_MAPS, "a", namespace="default"))
    await eventually(lambda: fault.met)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await client.create(CONFIG_MAPS, BODY, namespace="default")
    assert (await client.get(CONFIG_MAPS, "a", namespace="default")).metadata.name == "a"
