"""Images behind a real nginx, with ranges and without: the same suite that every source must pass, and an inspection."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from innkeeper.domain.reasons import ImageReason
from innkeeper.images.answers import Failed, InspectRequest, Ready
from innkeeper.images.inspection import Inspector, Limits
from innkeeper.images.sources.http import HttpFile, client_session
from innkeeper.images.sources.opening import SourceOpener
from innkeeper.images.sources.origins import OriginPolicy
from innkeeper.images.sources.source import Source
from innkeeper.views.catalog import HttpSource, ImageSource, SecretRef
from tests.kit.clock import ManualClock
from tests.kit.disks import raw_disk
from tests.kit.nginx import serving
from tests.kit.source_secrets import PlayedSecrets, source_secret

# The suite itself, run on the kinds below.
from tests.scenario.images.test_source_conformance import (  # noqa: F401 - pytest collects them here as well
    Kind,
    test_a_reader_may_leave_early,
    test_a_source_that_is_shorter_than_asked_is_an_error,
    test_any_range_in_chunks,
    test_size_and_a_version_that_stays,
    test_what_is_not_there,
)

DISK = raw_disk(2 * 1024**2)
POLICY = OriginPolicy(listed_hosts=["127.0.0.1"])


@asynccontextmanager
async def nginx(content: bytes | None, tmp_path: Path, *, has_ranges: bool = True) -> AsyncIterator[Source]:
    root = tmp_path / "root"
    await asyncio.to_thread(root.mkdir)
    if content is not None:
        (root / "disk.raw").write_bytes(content)
    with serving(root, directory=tmp_path / "nginx", has_ranges=has_ranges) as url:
        async with client_session(POLICY) as session:
            yield HttpFile(session, f"{url}/disk.raw", policy=POLICY)


def nginx_without_ranges(content: bytes | None, tmp_path: Path) -> AbstractAsyncContextManager[Source]:
    return nginx(content, tmp_path, has_ranges=False)


@pytest.fixture(params=[nginx, nginx_without_ranges], ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> Kind:
    chosen: Kind = request.param
    return chosen


@pytest.mark.parametrize("has_ranges", [True, False])
async def test_an_image_is_inspected_and_streams_only_where_it_can_be_read_in_parts(
    tmp_path: Path, *, has_ranges: bool
) -> None:
    (tmp_path / "disk.raw").write_bytes(DISK)
    with serving(tmp_path, directory=tmp_path / "nginx", has_ranges=has_ranges) as url:
        async with client_session(POLICY) as session:
            opener = SourceOpener(
                session, policy=POLICY, directory=None, credentials=PlayedSecrets().credentials()
            )
            inspector = Inspector(opener, clock=ManualClock(), limits=Limits(patience_s=10))
            request = InspectRequest(
                namespace="team-a",
                name="debian",
                source=ImageSource(http=HttpSource(url=f"{url}/disk.raw")),
                format="raw",
                digest=f"sha256:{hashlib.sha256(DISK).hexdigest()}",
            )
            answer = await inspector.ask(request)
            await inspector.close()
    assert isinstance(answer, Ready)
    assert (answer.manifest_digest is not None) == has_ranges


async def test_an_image_behind_a_password_is_inspected_and_read_in_parts(tmp_path: Path) -> None:
    (tmp_path / "disk.raw").write_bytes(DISK)
    secrets, clock = PlayedSecrets(), ManualClock()
    server = serving(
        tmp_path, directory=tmp_path / "nginx", has_ranges=True, password=("reader", "pass word")
    )
    with server as url:
        async with client_session(POLICY) as session:
            opener = SourceOpener(
                session, policy=POLICY, directory=None, credentials=secrets.credentials(clock)
            )
            inspector = Inspector(opener, clock=clock, limits=Limits(patience_s=10))
            http = HttpSource(url=f"{url}/disk.raw", secret_ref=SecretRef(name="store"))
            request = InspectRequest(
                namespace="team-a",
                name="debian",
                source=ImageSource(http=http),
                format="raw",
                digest=f"sha256:{hashlib.sha256(DISK).hexdigest()}",
            )
            secrets.put(source_secret(origin=url, username="reader", password="wrong"))
            refused = await inspector.ask(request)
            secrets.put(source_secret(origin=url, username="reader", password="pass word"))
            clock.advance(30)
            answer = await inspector.ask(request)
            source = await opener.open(request.source, namespace="team-a")
            part = b"".join([chunk async for chunk in source.read(1000, 5000)])
            await inspector.close()
    assert isinstance(refused, Failed)
    assert refused.reason == ImageReason.CREDENTIALS_UNUSABLE
    assert "answers 401: check the Secret team-a/store" in refused.message
    assert isinstance(answer, Ready)
    assert part == DISK[1000:5000]
