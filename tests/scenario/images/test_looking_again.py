"""An image that is Ready is asked about again: its source changed, came back, or does not answer."""

import asyncio

import msgspec
import pytest

from innkeeper.domain.reasons import ImageReason
from innkeeper.images.answers import Failed, InspectAnswer, Ready
from innkeeper.images.inspection import Inspector, Limits
from innkeeper.images.sources.source import SourceError, SourceInfo
from tests.kit.clock import ManualClock
from tests.kit.disks import raw_disk
from tests.scenario.images.test_inspection import DISK, FakeSource, StuckSource, request_for


class Bench:
    """One image, asked about as the operator does: with what it knows while the image is Ready."""

    def __init__(self, source: FakeSource | None = None) -> None:
        self.source = source or FakeSource()
        self.clock = ManualClock()
        self.known: Ready | None = None
        self.restart()

    def restart(self) -> None:
        """Start the image server anew: it knows nothing."""
        limits = Limits(patience_s=10, retry_after_s=20, parallel=1, look_s=0.05)
        self.inspector = Inspector(self.source, clock=self.clock, limits=limits)

    async def ask(self) -> InspectAnswer:
        """Let some minutes pass, and ask."""
        self.clock.advance(300)
        answer = await self.inspector.ask(request_for(known=self.known))
        self.known = answer if isinstance(answer, Ready) else self.known
        return answer

    async def ready(self) -> Ready:
        answer = await self.ask()
        assert isinstance(answer, Ready)
        return answer


async def test_a_source_that_is_what_it_was_is_not_read_even_after_a_restart() -> None:
    bench = Bench()
    first = await bench.ready()
    assert await bench.ready() == first
    bench.restart()
    assert await bench.ready() == first
    assert bench.source.reads == 1


async def test_an_image_of_which_nothing_is_recorded_is_read_once() -> None:
    bench = Bench()
    bench.known = msgspec.structs.replace(await bench.ready(), source_version=None)
    bench.restart()
    assert (await bench.ready()).source_version == SourceInfo(len(DISK), "v1").version
    await bench.ready()
    assert bench.source.reads == 2


async def test_the_same_bytes_in_another_version_stay_ready() -> None:
    bench = Bench()
    await bench.ready()
    bench.source.etag = "v2"
    assert (await bench.ready()).source_version == SourceInfo(len(DISK), "v2").version
    await bench.ready()
    assert bench.source.reads == 2


@pytest.mark.parametrize(
    "content",
    [raw_disk(1024 * 1024), b"<!DOCTYPE html><html>moved</html>" * 100, DISK[:-512]],
    ids=["another image", "a web page", "shorter"],
)
async def test_a_source_that_changed_is_found_and_heals_when_it_is_put_back(content: bytes) -> None:
    bench = Bench()
    ready = await bench.ready()
    bench.source.content, bench.source.etag = content, "v2"
    answer = await bench.ask()
    assert isinstance(answer, Failed)
    assert answer.reason == ImageReason.DIGEST_MISMATCH
    assert ready.digest in answer.message
    assert request_for(content).digest in answer.message
    assert "the source changed" in answer.message
    assert "Guests that have the image run on" in answer.message
    bench.known = None
    assert await bench.ask() == answer, "it is not read again while it is the same wrong one"
    bench.source.failure = SourceError("no answer in time")
    assert isinstance(await bench.ask(), Failed)
    bench.source.failure = None
    assert await bench.ask() == answer, "an outage meanwhile does not hide what is wrong"
    assert bench.source.reads == 2
    bench.source.content, bench.source.etag = DISK, "v1"
    assert await bench.ready() == ready


async def test_an_outage_is_told_as_one_and_costs_no_reading() -> None:
    bench = Bench()
    ready = await bench.ready()
    bench.source.failure = SourceError("no answer in time")
    answer = await bench.ask()
    assert answer == Failed(reason="SourceUnreachable", message="no answer in time", retryable=True)
    bench.source.failure = None
    assert await bench.ready() == ready
    assert bench.source.reads == 1


class SlowSource(FakeSource):
    """Answers no question any more."""

    async def stat(self) -> SourceInfo:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


async def test_a_source_that_holds_the_question_is_left() -> None:
    bench = Bench()
    await bench.ready()
    bench.source = SlowSource()
    bench.restart()
    answer = await bench.ask()
    assert isinstance(answer, Failed)
    assert answer.reason == ImageReason.SOURCE_UNREACHABLE


async def test_a_look_waits_for_no_reading() -> None:
    bench = Bench()
    await bench.ready()
    bench.source = StuckSource()
    bench.restart()
    stuck = asyncio.create_task(bench.inspector.ask(request_for(name="other")))
    await bench.ready()
    assert not stuck.done()
    stuck.cancel()
    await bench.inspector.close()
