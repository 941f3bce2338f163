"""Parts of images that hosts get packed."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from innkeeper.domain.images import packing
from innkeeper.views.catalog import (
    HttpSource,
)
from tests.scenario.images.image_server import DISK, Bench
from tests.scenario.images.origin import Origin


async def test_an_agent_may_have_a_part_packed(bench: Bench) -> None:
    """Three MiB of which nearly all are zeros are a few KiB then."""
    bench.api.put_image()
    bench.api.put_assignment()
    url = await bench.url(which="packedUrl")
    for query, expected in (
        ("&bytes=1000000-1999999", DISK[1000000:2000000]),
        ("&bytes=0-511", DISK[:512]),
        ("", DISK),
    ):
        async with bench.http.get(url + query) as answer:
            assert answer.status == 200
            assert answer.content_type == packing.MEDIA_TYPE
            found = await answer.read()
            assert len(found) < len(expected) / 8 + 64
            assert packing.Unpacker(len(expected)).unpack(found, most=2 * len(DISK)) == expected
    async with bench.http.get(f"{url}&bytes={len(DISK)}-") as answer:
        assert answer.status == 416
    async with bench.http.get(url.replace("debian", "secret")) as answer:
        assert answer.status == 403


async def test_packing_waits_for_no_thread_that_a_hung_disk_holds(bench: Bench) -> None:
    hung, threads = Event(), ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(threads)
    async with Origin(DISK).server() as server:
        bench.api.put_image(http=HttpSource(url=str(server.make_url("/disk.raw"))))
        bench.api.put_assignment()
        url = await bench.url(which="packedUrl")
        threads.submit(hung.wait)
        try:
            async with bench.http.get(f"{url}&bytes=0-511") as answer:
                assert packing.Unpacker(512).unpack(await answer.read(), most=512) == DISK[:512]
        finally:
            hung.set()
