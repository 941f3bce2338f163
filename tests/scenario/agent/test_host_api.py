"""The host API over real TLS: who may ask, what is told, and what bad callers and files that change do to it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import msgspec
import pytest
from kit import host_api as trial
from kit.certificates import Authority, Pair
from prometheus_client import CollectorRegistry

from innkeeper.agent.figures import AgentFigures
from innkeeper.agent.host_api import listener as listener_module
from innkeeper.agent.host_api import server as server_module
from innkeeper.agent.host_api.listener import LOOK_EVERY_S, HostApiListener
from innkeeper.agent.host_api.server import HostApi, StoreReader, UsageOf
from innkeeper.agent.store.records import GuestRecord, Life, Ready, Tombstone
from innkeeper.agent.store.store import Store
from innkeeper.domain.host_store import Events, Snapshot
from innkeeper.domain.host_usage import HostUsage
from innkeeper.domain.orders import Rank
from innkeeper.domain.reasons import OrderOutcome
from innkeeper.hosts.client import Agents, ClientFiles
from innkeeper.hosts.ports import GapError, HostUnreadError
from tests.kit.agent_host import AgentHost
from tests.kit.agent_orders import STORE, guest_id, order
from tests.kit.certificates import expired_client
from tests.kit.clock import ManualClock
from tests.kit.host_api import HOST, Answer, HostFiles, ask, context, with_a_guest
from tests.kit.waiting import eventually

AT = "2026-01-01T00:00:00Z"
PATIENT_S = 60


@dataclass
class Scene:
    """A host API that listens, its store, and the files on both sides."""

    listener: HostApiListener
    store: Store
    clock: ManualClock
    files: HostFiles
    vouching: Authority
    figures: AgentFigures

    @property
    def address(self) -> str:
        assert self.listener.address is not None
        return self.listener.address

    @property
    def operator(self) -> Pair:
        return trial.operator_pair(self.vouching)

    def context(self, shown: Pair | None) -> ssl.SSLContext:
        return context(self.vouching, shown)

    async def ask(self, path: str, **more: str) -> Answer:
        return await ask(self.address, path, tls=self.context(self.operator), **more)  # type: ignore[arg-type] # by name

    async def put(self, name: str) -> None:
        await self.store.put(record(name), what="Accepted Running", at=AT)

    async def look_again(self) -> None:
        """Have the listener look at its files once more."""
        await eventually(lambda: self.clock.sleepers > 0)
        self.clock.advance(LOOK_EVERY_S)
        await eventually(lambda: self.clock.sleepers > 0)


def record(name: str) -> GuestRecord:
    return GuestRecord(
        guest_id=name,
        order="signed",
        rank=Rank(1, 1),
        namespace="guests",
        name=name,
        outcome=OrderOutcome.ACCEPTED,
        life=Life.UP,
        ready=Ready(True, "Running"),
    )


async def no_usage() -> HostUsage:
    return HostUsage(host=HOST, at=AT, window_s=1.0, guests=[])


@asynccontextmanager
async def listening(
    files: HostFiles, reader: StoreReader, clock: ManualClock, *, port: int = 0, usage: UsageOf | None = None
) -> AsyncIterator[tuple[HostApiListener, AgentFigures]]:
    figures = AgentFigures(CollectorRegistry())
    listener = HostApiListener(
        HostApi(reader, figures, console_log=lambda _guest_id: None, usage=usage or no_usage).application,
        files.place(port=port),
        figures=figures,
        clock=clock,
        on_change=lambda: None,
    )
    task = asyncio.create_task(listener.run())
    try:
        yield listener, figures
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    vouching, files, clock = trial.authority(tmp_path), HostFiles(tmp_path / "files"), ManualClock()
    files.fill(vouching)
    async with AsyncExitStack() as stack:
        store = await Store.open(tmp_path / "agent.db", host=HOST, new_id="id-1")
        stack.push_async_callback(store.close)
        listener, figures = await stack.enter_async_context(listening(files, store, clock))
        await eventually(lambda: listener.address)
        yield Scene(listener, store, clock, files, vouching, figures)


def snapshot(answer: Answer) -> Snapshot:
    assert answer.status == 200, answer.body
    return msgspec.json.decode(answer.body, type=Snapshot)


def events(answer: Answer) -> Events:
    assert answer.status == 200, answer.body
    return msgspec.json.decode(answer.body, type=Events)


def reason(answer: Answer) -> tuple[int, str]:
    return answer.status, msgspec.json.decode(answer.body)["reason"]


async def test_the_operator_reads_pages_and_what_changed_since(scene: Scene) -> None:
    for name in ("g1", "g2", "g3"):
        await scene.put(name)
    first = snapshot(await scene.ask("/v1/snapshot?limit=2"))
    assert ([each.guest_id for each in first.guests], first.next_after, first.seq) == (["g1", "g2"], "g2", 3)
    rest = snapshot(await scene.ask("/v1/snapshot?after=g2&limit=2"))
    assert ([each.guest_id for each in rest.guests], rest.next_after) == (["g3"], None)
    await scene.store.bury(Tombstone("g1", Rank(1, 2), "signed to destroy"), at=AT)
    since = events(await scene.ask("/v1/events?store=id-1&since=3"))
    assert [each.order for each in since.tombstones] == ["signed to destroy"]
    assert (since.seq, since.has_more) == (4, False)


async def test_a_cursor_that_the_log_does_not_reach_is_gone(scene: Scene) -> None:
    await scene.put("g1")
    assert reason(await scene.ask("/v1/events?store=id-0&since=1")) == (410, "Gap")
    assert reason(await scene.ask("/v1/events?store=id-1&since=2")) == (410, "Gap")


async def test_paging_while_guests_come_and_go_misses_nothing(scene: Scene) -> None:
    for number in range(0, 60, 2):
        await scene.put(f"g{number:03d}")
    more = True

    async def come_and_go() -> None:
        number = 0
        while more:
            number = (number + 7) % 60
            if number % 3:
                await scene.put(f"g{number:03d}")
            else:
                await scene.store.bury(Tombstone(f"g{number:03d}", Rank(1, 2)), at=AT)

    changing = asyncio.create_task(come_and_go())
    pages = [snapshot(await scene.ask("/v1/snapshot?limit=5"))]
    while pages[-1].next_after is not None:
        pages.append(snapshot(await scene.ask(f"/v1/snapshot?limit=5&after={pages[-1].next_after}")))
    more = False
    await changing
    seen = {guest.guest_id for page in pages for guest in page.guests}
    since, asked = pages[0].seq, True
    while asked:
        part = events(await scene.ask(f"/v1/events?store=id-1&since={since}&limit=50"))
        seen = (seen | {each.guest_id for each in part.guests}) - {each.guest_id for each in part.tombstones}
        since, asked = part.seq, part.has_more
    assert len(pages) > 5
    assert since > pages[0].seq, "nothing changed meanwhile"
    assert seen == {each.guest_id for each in await scene.store.guests()}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/events",
        "/v1/events?store=id-1",
        "/v1/events?since=1",
        "/v1/events?store=id-1&since=-1",
        "/v1/events?store=id-1&since=1e3",
        "/v1/events?store=id-1&since=9999999999999999999",
        "/v1/snapshot?limit=many",
        f"/v1/snapshot?after={'g' * 101}",
        "/v1/snapshot?after=%0a",
    ],
)
async def test_a_question_that_makes_no_sense_is_told_why(scene: Scene, path: str) -> None:
    assert reason(await scene.ask(path)) == (400, "InvalidRequest")


async def test_a_page_is_never_longer_than_the_longest(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "PAGE", 2)
    for name in ("g1", "g2", "g3"):
        await scene.put(name)
    for limit in ("", "?limit=0", "?limit=100"):
        assert len(snapshot(await scene.ask(f"/v1/snapshot{limit}")).guests) == 2


async def test_only_what_is_offered_may_be_asked(scene: Scene) -> None:
    assert reason(await scene.ask("/v1/orders")) == (404, "NotFound")
    assert reason(await scene.ask("/v1/snapshot", method="POST")) == (405, "MethodNotAllowed")
    assert (await scene.ask(f"/v1/snapshot?after={'g' * 5000}")).status == 400


async def test_a_certificate_of_another_name_is_refused(scene: Scene) -> None:
    somebody = scene.vouching.ensure_client("somebody", user="somebody")
    answer = await ask(scene.address, "/v1/snapshot", tls=scene.context(somebody))
    assert reason(answer) == (403, "NotAllowed")


async def test_callers_whom_the_authority_does_not_vouch_for_get_no_answer(
    scene: Scene, tmp_path: Path
) -> None:
    elsewhere = trial.authority(tmp_path / "elsewhere")
    (tmp_path / "over").mkdir()
    callers = {
        "no certificate": None,
        "another authority's": trial.operator_pair(elsewhere),
        "over": expired_client(scene.vouching, tmp_path / "over", user=trial.OPERATOR),
        "a host's own": scene.vouching.issue_server(trial.OPERATOR + "-host", alternative_names=[HOST]),
    }
    for caller, shown in callers.items():
        with pytest.raises((aiohttp.ClientError, OSError)):
            print(caller, await ask(scene.address, "/v1/snapshot", tls=scene.context(shown)))  # noqa: T201 - shown on failure
    assert scene.figures.api_refused.labels("Handshake")._value.get() >= len(callers)
    assert (await scene.ask("/v1/snapshot")).status == 200


async def test_older_tls_is_refused(scene: Scene) -> None:
    old = scene.context(scene.operator)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(scene.address, "/v1/snapshot", tls=old)


async def test_the_operator_sees_when_another_host_answers(scene: Scene) -> None:
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        await ask(scene.address, "/v1/snapshot", tls=scene.context(scene.operator), host="inn-b")


async def test_files_that_change_count_for_new_connections_and_end_old_ones(
    scene: Scene, tmp_path: Path
) -> None:
    old = scene.context(scene.operator)
    connector = aiohttp.TCPConnector(ssl=old)
    url = f"https://{scene.address}/v1/snapshot"
    async with aiohttp.ClientSession(connector=connector) as session:
        async with session.get(url, server_hostname=HOST) as answer:
            assert answer.status == 200
        newer = trial.authority(tmp_path / "newer")
        scene.files.fill(newer)
        await scene.look_again()
        with pytest.raises(aiohttp.ClientError):
            await session.get(url, server_hostname=HOST)
    new = context(newer, trial.operator_pair(newer))
    assert (await ask(scene.address, "/v1/snapshot", tls=new)).status == 200


async def test_a_rotation_that_is_half_done_changes_nothing(scene: Scene, tmp_path: Path) -> None:
    newer = trial.authority(tmp_path / "newer")
    other = newer.issue_server(HOST, alternative_names=[HOST])
    overwrite(scene.files.files.key, other.key)
    await scene.look_again()
    assert (await scene.ask("/v1/snapshot")).status == 200
    assert "goes on with its old certificate" in str(scene.listener.trouble)
    scene.files.fill(scene.vouching)
    await scene.look_again()
    assert scene.listener.trouble is None
    assert (await scene.ask("/v1/snapshot")).status == 200


async def test_certificates_that_come_late_are_waited_for(tmp_path: Path) -> None:
    files, clock = HostFiles(tmp_path / "files"), ManualClock()
    store = await Store.open(tmp_path / "agent.db", host=HOST, new_id="id-1")
    async with listening(files, store, clock) as (listener, _):
        await eventually(lambda: clock.sleepers == 1)
        assert (listener.address, "agent.crt" in str(listener.trouble)) == (None, True)
        files.fill(trial.authority(tmp_path))
        clock.advance(30)
        await eventually(lambda: listener.address)
        assert listener.trouble is None
    await store.close()


async def test_a_port_that_somebody_has_is_waited_for(scene: Scene) -> None:
    port, clock = int(scene.address.rpartition(":")[2]), ManualClock()
    async with listening(scene.files, scene.store, clock, port=port) as (listener, _):
        await eventually(lambda: clock.sleepers == 1)
        assert f"127.0.0.1:{port}" in str(listener.trouble)


async def test_what_breaks_there_is_tried_again_and_ends_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    with monkeypatch.context() as patched:
        patched.setattr(listener_module, "_bound", lambda _: 1 / 0)
        async with listening(scene.files, scene.store, clock) as (listener, _):
            await eventually(lambda: clock.sleepers == 1)
            assert (listener.address, listener.trouble) == (
                None,
                "the host API broke; the agent's log says why",
            )
            patched.undo()
            clock.advance(30)
            await eventually(lambda: listener.address)


async def test_callers_who_stay_leave_room_for_no_more_than_a_number(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "MAX_CONNECTIONS", 3)
    tls = scene.context(scene.operator)
    host, port = scene.address.split(":")
    staying = [
        await asyncio.open_connection(host, int(port), ssl=tls, server_hostname=HOST) for _ in range(3)
    ]
    with pytest.raises((aiohttp.ClientError, OSError)):
        await ask(scene.address, "/v1/snapshot", tls=tls)
    assert scene.figures.api_refused.labels("TooMany")._value.get() == 1
    for _, writer in staying:
        writer.close()

    async def answers() -> bool:
        try:
            return (await ask(scene.address, "/v1/snapshot", tls=tls)).status == 200
        except (aiohttp.ClientError, OSError):
            return False

    await eventually(answers)


async def test_callers_who_say_nothing_are_left_after_a_while(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "MAX_HANDSHAKES", 2)
    host, port = scene.address.split(":")
    with monkeypatch.context() as patched:
        patched.setattr(listener_module, "HANDSHAKE_WITHIN_S", 0.2)
        silent = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
        for reader, writer in silent:
            assert await asyncio.wait_for(reader.read(), PATIENT_S) == b""
            writer.close()
    # Who speaks has the usual time.
    assert (await scene.ask("/v1/snapshot")).status == 200


async def test_a_connection_ends_after_its_longest_life(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "LONGEST_LIFE_S", 0.2)
    host, port = scene.address.split(":")
    tls = scene.context(scene.operator)
    reader, writer = await asyncio.open_connection(host, int(port), ssl=tls, server_hostname=HOST)
    writer.write(b"GET /v1/snapshot HTTP/1.1\r\n")  # and then nothing
    assert await asyncio.wait_for(reader.read(), PATIENT_S) == b""
    writer.close()


class StuckStore:
    """A store that does not answer."""

    async def snapshot(self, *, after: str | None = None, limit: int = 0) -> Snapshot:  # noqa: ARG002 - as declared
        return await asyncio.get_running_loop().create_future()

    async def events(self, *, store_id: str, since: int, limit: int = 0) -> Events:  # noqa: ARG002 - as declared
        raise RuntimeError("it broke")


async def test_a_store_that_hangs_or_breaks_is_told_and_holds_nobody(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = scene.context(scene.operator)
    async with listening(scene.files, StuckStore(), ManualClock()) as (listener, _):
        await eventually(lambda: listener.address)
        address = str(listener.address)
        with monkeypatch.context() as patched:
            patched.setattr(server_module, "ANSWER_WITHIN_S", 0.2)
            busy = await ask(address, "/v1/snapshot", tls=tls)
        assert (reason(busy), busy.headers["Retry-After"]) == ((503, "Busy"), "2")
        broken = await ask(address, "/v1/events?store=id-1&since=0", tls=tls)
        assert reason(broken) == (500, "InternalError")
        assert b"it broke" not in broken.body


@pytest.mark.parametrize(
    ("listen", "reported", "address"),
    [
        ("10.0.0.1", None, "10.0.0.1:9104"),
        ("fd00::1", None, "[fd00::1]:9104"),
        ("0.0.0.0", "host-a.example", "host-a.example:9104"),  # noqa: S104 - a listening address is the point
        ("::", "[fd00::2]", "[fd00::2]:9104"),
        ("::", "[fd00::2]:443", "[fd00::2]:443"),
        ("127.0.0.1", "host-a.example:443", "host-a.example:443"),
    ],
)
def test_what_is_reported(tmp_path: Path, listen: str, reported: str | None, address: str) -> None:
    place = HostFiles(tmp_path).place(reported=reported)
    assert replace(place, listen=listen).address(9104) == address


async def test_an_agent_reports_where_it_listens_and_answers_there(host: AgentHost, tmp_path: Path) -> None:
    vouching, address = await with_a_guest(host, tmp_path)
    tls = context(vouching, trial.operator_pair(vouching))
    told = snapshot(await ask(address, "/v1/snapshot", tls=tls))
    (guest,) = told.guests
    assert (told.host, told.store_id, guest.guest_id, guest.reason) == (HOST, STORE, guest_id(), "Running")
    steps = [step.reason for step in guest.history]
    assert (steps[0], steps[-1]) == ("Accepted", "Running")
    assert told.settings == (await host.host_agent()).spec


async def test_without_certificates_none_is_served(host: AgentHost) -> None:
    host.start()
    await host.assign(order())
    await host.told(guest_id(), "Running")
    assert (await host.host_agent()).status.store_id == STORE
    assert (await host.host_agent()).status.address is None


def overwrite(path: Path, other: Path) -> None:
    path.write_bytes(other.read_bytes())


async def test_the_operators_own_client_is_answered(scene: Scene) -> None:
    for number in (1, 2, 3):
        await scene.put(guest_id(number))
    operator = scene.operator
    files = ClientFiles(
        authority=scene.vouching.own.certificate, certificate=operator.certificate, key=operator.key
    )
    async with Agents(files) as agents:
        reader = agents.reader(HOST, scene.address)
        snapshot = await reader.snapshot()
        assert [each.guest_id for each in snapshot.guests] == [guest_id(number) for number in (1, 2, 3)]
        events = await reader.events(store_id=snapshot.store_id, since=0)
        assert (events.seq, len(events.changes)) == (snapshot.seq, 3)
        with pytest.raises(GapError):
            await reader.events(store_id="another", since=0)
        with pytest.raises(HostUnreadError):
            await agents.reader("another", scene.address).snapshot()
