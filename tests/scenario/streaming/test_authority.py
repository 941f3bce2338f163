"""The image server's authority is replaced while guests read: the streaming process goes on without a restart."""

import asyncio
import hashlib
from pathlib import Path

from innkeeper.agent.imaging.files import ImageFiles, stream_name
from innkeeper.agent.streaming.messages import Serve
from innkeeper.domain.reasons import GuestReason
from tests.kit.streams import CHUNK, GUEST, a_disk, image_of, manifest_of, read, streams_in
from tests.kit.tls_server import authority_of, pair_of, tls_server
from tests.kit.url_server import UrlServer
from tests.kit.waiting import eventually

DISK = a_disk()


async def test_readers_wait_while_the_authority_is_not_known_and_go_on_with_the_new_file(
    tmp_path: Path,
) -> None:
    old, new = pair_of(tmp_path, "old"), pair_of(tmp_path, "new")
    trusted = tmp_path / "images-ca.crt"
    trusted.write_bytes(authority_of(old))
    manifest = manifest_of(DISK, digest=f"sha256:{hashlib.sha256(DISK).hexdigest()}")
    origin, files = UrlServer(DISK, manifest=manifest), ImageFiles(tmp_path / "images")
    async with (
        tls_server(origin.application, old) as server,
        streams_in(files.directory, ca_file=trusted) as streams,
    ):
        image = image_of(DISK, server.url, manifest)
        await streams.serve(Serve(image=image, guest_id=GUEST))

        async def chunk(index: int) -> bytes | None:
            return await read(files, stream_name(image), index * CHUNK, CHUNK)

        assert await chunk(12) == DISK[12 * CHUNK : 13 * CHUNK]

        await server.show(new)
        reading = asyncio.create_task(chunk(20))
        await eventually(
            lambda: streams.statuses()[0].reason == GuestReason.IMAGE_DOWNLOAD_FAILED, deadline_s=60
        )
        assert "certificate" in streams.statuses()[0].message
        assert not reading.done()

        trusted.write_text("half a certi")
        await server.show(old)
        assert await reading == DISK[20 * CHUNK : 21 * CHUNK], "a file that cannot be used changes nothing"

        await server.show(new)
        trusted.write_bytes(authority_of(new))
        assert await chunk(16) == DISK[16 * CHUNK : 17 * CHUNK]
        assert streams.statuses()[0].reason == ""
