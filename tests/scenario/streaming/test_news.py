"""What the agent hears of images on their way: all of it, and so seldom that guests' `Ready` is no stream of writes."""

import asyncio
from pathlib import Path

from innkeeper.agent.streaming.control import News
from innkeeper.agent.streaming.streamer import NEWS_GAP_S
from tests.kit.clock import ManualClock
from tests.kit.streams import CHUNK, a_disk, stream_site, streamer_of
from tests.kit.waiting import eventually

DISK = a_disk()
PATIENT_S = 60  # real time, for a machine that has much else to do


async def test_however_fast_an_image_arrives_it_is_told_every_two_seconds_at_most(tmp_path: Path) -> None:
    clock, news, told = ManualClock(), News(), list[int]()
    async with (
        stream_site(tmp_path / "images", DISK) as site,
        streamer_of(site, clock=clock, news=news) as streamer,
    ):
        await site.serve()
        following = asyncio.create_task(
            streamer.follow(lambda: told.append(streamer.statuses[site.name].here))
        )
        await eventually(lambda: clock.sleepers == 1, deadline_s=PATIENT_S)
        first = site.status().here
        for index in (10, 13, 16, 19):
            assert await site.read(index) == DISK[index * CHUNK : (index + 1) * CHUNK]
            news.tell()
            clock.advance((NEWS_GAP_S - 0.1) / 4)
        assert (told, clock.sleepers) == ([first], 1), "it asks for nothing meanwhile"
        clock.advance(0.1)
        await eventually(lambda: len(told) == 2 and clock.sleepers == 1, deadline_s=PATIENT_S)
        assert told[-1] == site.status().here > first, "the last news are told, and those between are not"
        following.cancel()
