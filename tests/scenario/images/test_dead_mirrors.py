"""An image at several places, some of which are dead: hosts read chunk by chunk, and wait for a dead place once."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from innkeeper.images.signing import BlobName
from innkeeper.images.sources.deadlines import OriginDeadlines
from innkeeper.images.sources.http import client_session
from innkeeper.images.sources.left_places import LEFT_S, WAITED_S, LeftPlaces
from innkeeper.images.sources.mirrored import Mirrored
from innkeeper.images.sources.opening import SourceOpener
from innkeeper.images.sources.origins import OriginPolicy
from innkeeper.images.sources.source import SourceError, SourceInfo
from innkeeper.images.stats import Stats
from innkeeper.views.catalog import HttpSource, ImageSource
from tests.kit.clock import ManualClock
from tests.kit.source_secrets import PlayedSecrets
from tests.kit.waiting import eventually
from tests.scenario.images.origin import Origin

CONTENT = bytes(range(256)) * 64
HOUR = 3600.0
BLOB = BlobName("team-a", "debian", "sha256:" + "0" * 64)


@dataclass
class Scene:
    """An image server's opener, and an image at several origins."""

    opener: SourceOpener
    source: ImageSource
    clock: ManualClock
    stats: Stats

    async def chunk(self, *, namespace: str = "team-a") -> bytes:
        """Ask for some bytes as a host does: each request opens the source anew."""
        source = await self.opener.open(self.source, namespace=namespace, for_hosts=True)
        await self.stats.of(BLOB, source)
        return b"".join([piece async for piece in source.read(100, 200)])

    async def version(self) -> str:
        """Look whether the source changed."""
        return (await (await self.opener.open(self.source, namespace="team-a")).stat()).version


@asynccontextmanager
async def scene(*origins: Origin, answer_s: float = HOUR) -> AsyncIterator[Scene]:
    policy, clock = OriginPolicy(listed_hosts=["127.0.0.1"]), ManualClock()
    deadlines = OriginDeadlines(answer_s=answer_s)
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(each.server()) for each in origins]
        session = await stack.enter_async_context(client_session(policy, deadlines))
        opener = SourceOpener(
            session,
            policy=policy,
            directory=None,
            credentials=PlayedSecrets().credentials(),
            deadlines=deadlines,
            clock=clock,
        )
        first, *others = [str(server.make_url("/disk.raw")) for server in servers]
        yield Scene(opener, ImageSource(http=HttpSource(url=first, mirrors=others)), clock, Stats(clock))


async def test_a_dead_place_is_waited_for_once_and_not_at_each_chunk() -> None:
    dead, good = Origin(CONTENT, silent=True), Origin(CONTENT)
    async with scene(dead, good, answer_s=0.2) as image:
        for _ in range(5):
            assert await image.chunk() == CONTENT[100:200]
            image.clock.advance(20)  # what sources said of themselves is forgotten meanwhile
    assert len(dead.requests) == 1


async def test_a_place_that_breaks_off_is_left_too() -> None:
    dead, good = Origin(CONTENT, cut_after=10), Origin(CONTENT)
    async with scene(dead, good) as image:
        for _ in range(5):
            assert await image.chunk() == CONTENT[100:200]
    assert len(dead.requests) == 2, "one look, and one reading"


async def test_an_image_is_read_although_its_dead_places_take_longer_than_a_host_waits() -> None:
    dead, good = [Origin(CONTENT, silent=True) for _ in range(2)], Origin(CONTENT)
    async with scene(*dead, good, answer_s=1) as image:

        async def patient_chunk() -> bytes:
            with suppress(TimeoutError):
                async with asyncio.timeout(1.5):
                    return await image.chunk()
            return b""

        assert await eventually(patient_chunk, deadline_s=20) == CONTENT[100:200]
        assert await patient_chunk() == CONTENT[100:200]


async def test_a_place_that_is_back_is_asked_again_by_one_who_waits_for_it() -> None:
    first, second = Origin(CONTENT, silent=True), Origin(CONTENT)
    async with scene(first, second, answer_s=0.2) as image:
        await image.chunk()
        image.clock.advance(LEFT_S)
        assert await asyncio.gather(*(image.chunk() for _ in range(4))) == [CONTENT[100:200]] * 4
        assert len(first.requests) == 2, "the others went on without it"
        first.silent = False
        image.clock.advance(LEFT_S)
        await image.chunk()
        second.requests.clear()
        assert await image.chunk() == CONTENT[100:200]
        assert not second.requests


async def test_places_that_were_all_left_are_still_asked() -> None:
    first, second = Origin(CONTENT, status=503), Origin(CONTENT, status=503)
    async with scene(first, second) as image:
        with pytest.raises(SourceError, match=r"503.*; .*503"):
            await image.chunk()
        second.status = 200
        assert await image.chunk() == CONTENT[100:200]


async def test_what_one_account_finds_dead_changes_nothing_for_another() -> None:
    """It may have shown another credential."""
    first, second = Origin(CONTENT, status=401), Origin(CONTENT)
    async with scene(first, second) as image:
        await image.chunk()
        first.status = 200
        second.requests.clear()
        image.clock.advance(20)
        assert await image.chunk(namespace="team-b") == CONTENT[100:200]
        assert not second.requests


async def test_a_failure_does_not_look_like_a_change_of_the_source() -> None:
    """The two name the same bytes differently; a change of version would have all of them read anew."""
    first, second = Origin(CONTENT, etag='"a"'), Origin(CONTENT, etag='"b"')
    async with scene(first, second) as image:
        before = await image.version()
        first.status = 503
        await image.chunk()
        first.status = 200
        assert await image.version() == before


class Place:
    """A place that may say nothing."""

    kind = "http"

    def __init__(self, *, says: bytes | None) -> None:
        self.says = says
        self.asked = 0

    async def stat(self) -> SourceInfo:
        return SourceInfo(size=10, etag="v1")

    async def read(self, start: int, end: int) -> AsyncGenerator[bytes, None]:
        self.asked += 1
        if self.says is None:
            await asyncio.Event().wait()
        yield (self.says or b"")[start:end]


async def read(places: list[Place], left: LeftPlaces) -> bytes:
    return b"".join([piece async for piece in Mirrored(places, left).read(0, 10)])


@pytest.mark.parametrize(("waited_s", "is_left"), [(WAITED_S, True), (WAITED_S - 1, False)])
async def test_a_place_that_a_host_waited_for_in_vain_is_asked_last(
    waited_s: float, *, is_left: bool
) -> None:
    """Hosts have a deadline before that of an origin ends; who leaves at once says nothing of the place."""
    clock, silent, good = ManualClock(), Place(says=None), Place(says=b"0123456789")
    left = LeftPlaces(2, clock)
    reading = asyncio.create_task(read([silent, good], left))
    await eventually(lambda: silent.asked)
    clock.advance(waited_s)
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading
    assert left.order() == ([1, 0] if is_left else [0, 1])
    if is_left:
        assert await read([silent, good], left) == b"0123456789"
        assert silent.asked == 1


async def test_a_host_that_leaves_in_the_middle_leaves_no_place() -> None:
    clock, good = ManualClock(), Place(says=b"0123456789")
    left = LeftPlaces(2, clock)
    reading = Mirrored([good, Place(says=None)], left).read(0, 10)
    assert await anext(reading) == b"0123456789"
    clock.advance(HOUR)
    await reading.aclose()
    assert left.order() == [0, 1]
