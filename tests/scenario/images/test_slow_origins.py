"""Origins that say nothing, or nearly nothing: they are left, and the images of others are served meanwhile."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from aiohttp import ClientSession, ClientTimeout, web
from prometheus_client import CollectorRegistry

from innkeeper.domain.images.manifest import ManifestMaker
from innkeeper.images import process
from innkeeper.images.answers import Failed, InspectRequest, Preparing, Ready
from innkeeper.images.assembly import build
from innkeeper.images.blobs import StreamLimits
from innkeeper.images.inspection import Inspector, Limits
from innkeeper.images.kept_files import KeptFiles
from innkeeper.images.manifests import Manifests
from innkeeper.images.settings import ImagesSettings
from innkeeper.images.signing import BlobName, UrlSigner
from innkeeper.images.sources.deadlines import OriginDeadlines, steady
from innkeeper.images.sources.http import CONNECTIONS_PER_HOST, HttpFile, client_session
from innkeeper.images.sources.mirrored import Mirrored
from innkeeper.images.sources.opening import SourceOpener
from innkeeper.images.sources.origins import OriginPolicy
from innkeeper.images.sources.source import SourceError
from innkeeper.kube.resources import IMAGES
from innkeeper.views.catalog import DirectorySource, HttpSource, Image, ImageSource, ImageSpec, ManifestSource
from innkeeper.views.meta import Meta
from tests.kit.clock import ManualClock
from tests.kit.disks import raw_disk
from tests.kit.source_secrets import PlayedSecrets
from tests.kit.virtual_loop import SteppedClock, VirtualLoop
from tests.kit.waiting import eventually
from tests.scenario.images.image_server import PlayedApi
from tests.scenario.images.origin import Origin

POLICY = OriginPolicy(listed_hosts=["127.0.0.1"])
DISK = raw_disk(1024 * 1024)
DIGEST = f"sha256:{hashlib.sha256(DISK).hexdigest()}"
HOUR = 3600.0
PATIENT = OriginDeadlines(connect_s=HOUR, answer_s=HOUR, silence_s=HOUR, least_within_s=HOUR)


async def read(origin: Origin, deadlines: OriginDeadlines, *, size: int) -> int:
    """Return how many bytes of the image came."""
    count = 0
    async with origin.server() as server, client_session(POLICY, deadlines) as session:
        source = HttpFile(session, str(server.make_url("/x?secret=1")), policy=POLICY, deadlines=deadlines)
        async for chunk in source.read(0, size):
            count += len(chunk)
    return count


async def test_an_origin_that_says_nothing_is_left() -> None:
    deadlines = OriginDeadlines(connect_s=HOUR, answer_s=0.2, silence_s=HOUR)
    with pytest.raises(SourceError, match=r"does not answer within 0\.2 s") as caught:
        await read(Origin(DISK, silent=True), deadlines, size=10)
    assert "secret" not in caught.value.message


async def test_a_mirror_that_says_nothing_is_waited_for_once() -> None:
    """The host would leave if the server waited for it again before the first bytes."""
    silent, good = Origin(DISK, silent=True), Origin(DISK)
    deadlines = OriginDeadlines(answer_s=3)
    async with (
        silent.server() as first,
        good.server() as second,
        client_session(POLICY, deadlines) as session,
    ):
        places = [
            HttpFile(session, str(server.make_url("/x")), policy=POLICY, deadlines=deadlines)
            for server in (first, second)
        ]
        source = Mirrored(places)
        size = (await source.stat()).size
        assert b"".join([chunk async for chunk in source.read(0, size)]) == DISK
    assert len(silent.requests) == 1


async def test_who_waits_for_a_free_connection_is_told_so() -> None:
    """All connections to the origin are held; without a deadline the next would wait for ever."""
    origin, deadlines = (
        Origin(DISK, silent=True),
        OriginDeadlines(connect_s=3, answer_s=HOUR, silence_s=HOUR),
    )
    async with origin.server() as server, client_session(POLICY, deadlines) as session:
        source = HttpFile(session, str(server.make_url("/x")), policy=POLICY, deadlines=deadlines)
        waiting = [asyncio.ensure_future(source.stat()) for _ in range(CONNECTIONS_PER_HOST)]
        await eventually(lambda: len(origin.requests) == CONNECTIONS_PER_HOST, deadline_s=60)
        with pytest.raises(SourceError, match="no answer in time"):
            await source.stat()
        await end(waiting)


async def test_an_origin_that_drips_is_left() -> None:
    """Each byte comes soon after the one before it, so no silence ends this."""
    deadlines = OriginDeadlines(least_bytes=64 * 1024, least_within_s=0.5)
    with pytest.raises(SourceError, match=r"less than 65536 bytes in 0\.5 s"):
        await read(Origin(DISK, drip_s=0.01), deadlines, size=len(DISK))


def test_a_slow_reader_is_not_the_origins_fault() -> None:
    class Body:
        left = 20

        async def read(self, n: int) -> bytes:
            self.left -= 1
            return b"x" * min(n, self.left)

    async def story() -> bytes:
        found = b""
        async for chunk in steady(Body(), OriginDeadlines(least_bytes=10_000, least_within_s=0.1)):
            found += chunk
            await SteppedClock().sleep(60)
        return found

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert len(runner.run(story())) == sum(range(20))


async def test_images_that_drip_do_not_keep_others_from_being_read(tmp_path: Path) -> None:
    """They have all turns of their namespace until the least rate ends them."""
    (tmp_path / "debian.raw").write_bytes(DISK)
    deadlines = OriginDeadlines(least_bytes=64 * 1024, least_within_s=0.5)
    origin = Origin(DISK, drip_s=0.01)
    async with origin.server() as server, client_session(POLICY, deadlines) as session:
        opener = SourceOpener(
            session,
            policy=POLICY,
            directory=tmp_path,
            credentials=PlayedSecrets().credentials(),
            deadlines=deadlines,
        )
        inspector = Inspector(opener, clock=ManualClock(), limits=Limits(parallel=3, patience_s=0.1))
        slow = [
            question(name, ImageSource(http=HttpSource(url=str(server.make_url(f"/{name}")))))
            for name in ("slow-1", "slow-2")
        ]
        for each in slow:
            await inspector.ask(each)
        await eventually(lambda: len(origin.requests) == 4, deadline_s=60)  # both are read
        good = question("good", ImageSource(directory=DirectorySource(path="debian.raw")))
        await eventually(lambda: isinstance(inspector.look(good), Ready), deadline_s=60)
        for each in slow:
            await eventually(lambda each=each: isinstance(inspector.look(each), Failed), deadline_s=60)
            answer = inspector.look(each)
            assert isinstance(answer, Failed)
            assert answer.retryable
            assert "less than 65536 bytes" in answer.message
        await inspector.close()


async def test_one_namespaces_images_do_not_keep_anothers_waiting(tmp_path: Path) -> None:
    """Theirs drip for ever, and many wait in line; neither a whole reading nor a given manifest stands behind them."""
    (tmp_path / "debian.raw").write_bytes(DISK)
    maker = ManifestMaker()
    maker.take(DISK)
    encoded = maker.manifest(DIGEST).encode()
    given = Origin(DISK, others={"/manifest.json": encoded})
    drips = Origin(DISK, drip_s=0.01)
    async with AsyncExitStack() as stack:
        slow = await stack.enter_async_context(drips.server())
        beside = await stack.enter_async_context(given.server())
        session = await stack.enter_async_context(client_session(POLICY, PATIENT))
        opener = SourceOpener(
            session,
            policy=POLICY,
            directory=tmp_path,
            credentials=PlayedSecrets().credentials(),
            deadlines=PATIENT,
        )
        inspector = Inspector(opener, clock=ManualClock(), limits=Limits(patience_s=0.01))
        stack.push_async_callback(inspector.close)
        for number in range(10):
            url = str(slow.make_url(f"/{number}"))
            await inspector.ask(question(f"slow-{number}", ImageSource(http=HttpSource(url=url))))
        await eventually(
            lambda: len(drips.requests) == 4, deadline_s=60
        )  # two are read, of a size that is known

        source = ImageSource(directory=DirectorySource(path="debian.raw"))
        anothers = question("good", source, namespace="team-b")
        await eventually(lambda: isinstance(inspector.look(anothers), Ready), deadline_s=60)
        by_manifest = msgspec.structs.replace(
            question("given", ImageSource(http=HttpSource(url=str(beside.make_url("/disk.raw"))))),
            manifest=ManifestSource(
                url=str(beside.make_url("/manifest.json")),
                digest=f"sha256:{hashlib.sha256(encoded).hexdigest()}",
            ),
        )
        await eventually(lambda: isinstance(inspector.look(by_manifest), Ready), deadline_s=60)
        assert inspector.reading == 10
        assert len(drips.requests) == 4


async def test_of_a_namespaces_images_only_so_many_wait_at_once(tmp_path: Path) -> None:
    """The others get into the line when they are asked about again."""
    (tmp_path / "debian.raw").write_bytes(DISK)
    origin = Origin(DISK, silent=True)
    async with origin.server() as server, client_session(POLICY, PATIENT) as session:
        opener = SourceOpener(
            session,
            policy=POLICY,
            directory=tmp_path,
            credentials=PlayedSecrets().credentials(),
            deadlines=PATIENT,
        )
        inspector = Inspector(
            opener, clock=ManualClock(), limits=Limits(parallel=2, waiting=3, patience_s=0.01)
        )
        for number in range(10):
            url = str(server.make_url(f"/{number}"))
            answer = await inspector.ask(question(f"slow-{number}", ImageSource(http=HttpSource(url=url))))
            assert isinstance(answer, Preparing)
        assert inspector.reading == 4, "one is read, and three wait"
        await inspector.close()


def question(name: str, source: ImageSource, *, namespace: str = "team-a") -> InspectRequest:
    return InspectRequest(namespace=namespace, name=name, source=source, format="raw", digest=DIGEST)


@dataclass
class Serving:
    """An image server, an image of an origin ("slow") and one of its directory ("good")."""

    http: ClientSession
    base: str
    registry: CollectorRegistry
    signer: UrlSigner
    manifests: Path

    def url(self, name: str) -> str:
        signed = self.signer.sign(BlobName("team-a", name, DIGEST)).url
        return signed.replace("http://images.test", self.base)

    async def status(self, name: str) -> tuple[int, bytes]:
        async with self.http.get(self.url(name)) as answer:
            return answer.status, await answer.read()

    async def manifest(self, name: str) -> tuple[int, bytes]:
        """Ask for one that the test has put there."""
        own = await Manifests(KeptFiles(self.manifests)).keep_encoded(DIGEST, b"{}")
        async with self.http.get(
            f"{self.url(name).replace('/blobs/', '/manifests/')}&manifest={own}"
        ) as answer:
            return answer.status, await answer.read()

    @property
    def streams(self) -> float | None:
        return self.registry.get_sample_value("innkeeper_images_streams")


@asynccontextmanager
async def serving(tmp_path: Path, origin: Origin, limits: StreamLimits) -> AsyncIterator[Serving]:
    (tmp_path / "debian.raw").write_bytes(DISK)
    (tmp_path / "key").write_bytes(b"k" * 32)
    api, clock, registry = PlayedApi(), ManualClock(), CollectorRegistry()
    settings = ImagesSettings(
        directory=tmp_path,
        manifest_directory=tmp_path,
        public_url="http://images.test",
        url_key_file=tmp_path / "key",
    )
    async with AsyncExitStack() as stack:
        at = await stack.enter_async_context(origin.server())
        slow = ImageSource(http=HttpSource(url=str(at.make_url("/x"))))
        for name, source in {
            "slow": slow,
            "good": ImageSource(directory=DirectorySource(path="debian.raw")),
        }.items():
            api.objects[IMAGES.plural, "team-a", name] = Image(
                metadata=Meta(name=name, namespace="team-a"),
                spec=ImageSpec(source=source, format="raw", digest=DIGEST),
            )
        session = await stack.enter_async_context(client_session(POLICY, PATIENT))
        parts = build(
            settings,
            client=api,
            session=session,
            policy=POLICY,
            clock=clock,
            registry=registry,
            streams=limits,
            origins=PATIENT,
        )
        stack.push_async_callback(parts.close)
        runner = process.runner_of(parts.application)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        http = await stack.enter_async_context(ClientSession(timeout=ClientTimeout(total=60)))
        signer = UrlSigner(b"k" * 32, base_url="http://images.test", clock=clock)
        yield Serving(http, f"http://127.0.0.1:{runner.addresses[0][1]}", registry, signer, tmp_path)


async def test_an_image_whose_origin_is_silent_does_not_take_the_places_of_others(tmp_path: Path) -> None:
    origin = Origin(DISK, silent=True)
    async with serving(tmp_path, origin, StreamLimits(at_once=8, answer_s=HOUR)) as server:
        asked = [asyncio.ensure_future(server.status("slow")) for _ in range(8)]
        await eventually(lambda: len(origin.requests) == 2, deadline_s=60)
        await eventually(lambda: sum(each.done() for each in asked) == 6, deadline_s=60)
        busy = [each.result() for each in asked if each.done()]
        assert {status for status, _ in busy} == {503}
        assert b"2 streams of this image are open" in busy[0][1]
        assert await server.status("good") == (200, DISK)
        await end(asked)


async def test_an_image_whose_streams_are_all_taken_gives_its_manifest(tmp_path: Path) -> None:
    """A host that is new in a storm of boots needs it first, and the manifest needs no origin."""
    origin = Origin(DISK, silent=True)
    async with serving(tmp_path, origin, StreamLimits(at_once=4, answer_s=HOUR)) as server:
        asked = asyncio.ensure_future(server.status("slow"))
        await eventually(lambda: len(origin.requests) == 1, deadline_s=60)
        assert (await server.status("slow"))[0] == 503
        assert await server.manifest("slow") == (200, b"{}")
        await end([asked])


@pytest.mark.parametrize("origin", [Origin(DISK, silent=True), Origin(DISK, silent_body=True)])
async def test_a_source_that_gives_no_byte_ends_with_an_answer(tmp_path: Path, origin: Origin) -> None:
    """The host hears of it before it leaves, and the place is free again."""
    async with serving(tmp_path, origin, StreamLimits(at_once=8, answer_s=0.5)) as server:
        status, body = await server.status("slow")
        assert status == 502
        assert b"the source gave no byte within 0.5 s" in body
        assert server.streams == 0


async def test_a_copy_that_broke_off_begins_anew_where_a_slow_origin_knows_no_ranges(tmp_path: Path) -> None:
    """What the host has already takes longer than the first byte may, at each try."""
    origin = Origin(DISK, ranges=False, pauses_at=64 * 1024)
    rest = {"Range": f"bytes={len(DISK) // 2}-"}
    async with (
        serving(tmp_path, origin, StreamLimits(at_once=8, answer_s=0.5)) as server,
        server.http.get(server.url("slow"), headers=rest) as answer,
    ):
        assert answer.status == 200, await answer.text()
        assert "Accept-Ranges" not in answer.headers
        origin.goes_on.set()
        assert await answer.read() == DISK


async def test_a_part_of_an_image_is_given_although_the_origin_knows_no_ranges(tmp_path: Path) -> None:
    """So does a guest read on whose image was read in parts before."""
    part = {"Range": f"bytes={len(DISK) // 2}-{len(DISK) - 1}"}
    async with (
        serving(tmp_path, Origin(DISK, ranges=False), StreamLimits(at_once=8)) as server,
        server.http.get(server.url("slow"), headers=part) as answer,
    ):
        assert answer.status == 206
        assert await answer.read() == DISK[len(DISK) // 2 :]


async def test_a_reader_who_leaves_a_silent_origin_leaves_no_place_taken(tmp_path: Path) -> None:
    origin = Origin(DISK, silent=True)
    async with serving(tmp_path, origin, StreamLimits(at_once=8, answer_s=HOUR)) as server:
        asked = asyncio.ensure_future(server.status("slow"))
        await eventually(lambda: len(origin.requests) == 1, deadline_s=60)
        assert server.streams == 1
        await end([asked])
        await eventually(lambda: server.streams == 0, deadline_s=60)


async def end(tasks: list["asyncio.Future[object]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
