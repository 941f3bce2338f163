"""Origins that redirect, refuse, break off or lie."""

from collections.abc import AsyncIterator

import pytest

from innkeeper.domain.reasons import ImageReason
from innkeeper.images.sources.http import HttpFile, client_session
from innkeeper.images.sources.origins import OriginPolicy
from innkeeper.images.sources.source import SourceError
from tests.scenario.images.origin import Origin

POLICY = OriginPolicy(listed_hosts=["127.0.0.1"])


async def read(source: HttpFile, start: int, end: int) -> bytes:
    return b"".join([chunk async for chunk in source.read(start, end)])


async def failure(origin: Origin, *, path: str = "/x?secret=1") -> SourceError:
    async with origin.server() as server, client_session(POLICY) as session:
        source = HttpFile(session, str(server.make_url(path)), policy=POLICY)
        with pytest.raises(SourceError) as caught:
            await read(source, 0, (await source.stat()).size)
    assert "secret" not in caught.value.message
    return caught.value


@pytest.fixture
async def target() -> AsyncIterator[str]:
    async with Origin(b"moved content").server() as server:
        yield str(server.make_url("/final"))


async def test_a_redirect_is_followed(target: str) -> None:
    origin = Origin(b"", redirect=target)
    async with origin.server() as server, client_session(POLICY) as session:
        source = HttpFile(session, str(server.make_url("/x")), policy=POLICY)
        assert (await source.stat()).size == len(b"moved content")
        assert await read(source, 6, 13) == b"content"


@pytest.mark.parametrize(
    "location",
    ["http://other.test/x", "https://169.254.169.254/x", "file:///etc/passwd", "https://user:pw@other.test/"],
)
async def test_a_redirect_is_checked_like_the_first_url(location: str) -> None:
    error = await failure(Origin(b"", redirect=location))
    assert error.reason == ImageReason.SOURCE_REFUSED


async def test_a_redirect_to_a_long_signed_url_is_followed(target: str) -> None:
    """As stores give them that sign with a session's token."""
    origin = Origin(b"", redirect=f"{target}?token={'x' * 6000}")
    async with origin.server() as server, client_session(POLICY) as session:
        source = HttpFile(session, str(server.make_url("/x")), policy=POLICY)
        assert await read(source, 0, (await source.stat()).size) == b"moved content"


async def test_a_redirect_to_a_url_without_an_end_is_refused_and_named(target: str) -> None:
    error = await failure(Origin(b"", redirect=f"{target}?secret={'x' * 9000}"))
    assert (error.reason, error.retryable) == (ImageReason.SOURCE_REFUSED, False)
    assert "/x redirects to a URL of " in error.message
    assert "spec.source.http.url" not in error.message, "that one is right"


async def test_redirects_end() -> None:
    origin = Origin(b"", redirect="/again")
    error = await failure(origin)
    assert error.reason == ImageReason.SOURCE_REFUSED
    assert len(origin.requests) == 6


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, ImageReason.NOT_FOUND),
        (410, ImageReason.NOT_FOUND),
        (403, ImageReason.SOURCE_UNREACHABLE),
        (500, ImageReason.SOURCE_UNREACHABLE),
    ],
)
async def test_an_error_of_the_origin(status: int, reason: ImageReason) -> None:
    error = await failure(Origin(b"", status=status))
    assert error.reason == reason
    assert error.retryable
    assert str(status) in error.message


async def test_nobody_listens() -> None:
    async with Origin(b"").server() as server:
        url = str(server.make_url("/x"))
    async with client_session(POLICY) as session:
        with pytest.raises(SourceError) as caught:
            await HttpFile(session, url, policy=POLICY).stat()
    assert caught.value.reason == ImageReason.SOURCE_UNREACHABLE


async def test_an_origin_that_stops_in_the_middle() -> None:
    error = await failure(Origin(b"x" * 100_000, cut_after=50_000))
    assert error.reason == ImageReason.SOURCE_UNREACHABLE


async def test_an_origin_that_sends_another_range() -> None:
    error = await failure(Origin(b"x" * 100_000, shifted=512))
    assert "another range" in error.message


async def test_an_origin_that_never_stops_is_left_at_the_end_of_the_image() -> None:
    """What it promised is read, and not a byte of what it sends behind that is kept."""
    origin = Origin(b"x" * 100_000, endless=True)
    async with origin.server() as server, client_session(POLICY) as session:
        source = HttpFile(session, str(server.make_url("/x")), policy=POLICY)
        size = (await source.stat()).size
        assert await read(source, 0, size) == b"x" * 100_000


async def test_an_origin_that_hides_its_size() -> None:
    error = await failure(Origin(b"x" * 100, ranges=False, tells_size=False))
    assert error.reason == ImageReason.SOURCE_REFUSED


async def test_compressed_content_is_refused() -> None:
    error = await failure(Origin(b"x" * 100, compressed=True))
    assert "compressed" in error.message


async def test_no_credentials_and_no_cookies_are_sent() -> None:
    origin = Origin(b"x" * 10)
    async with origin.server() as server, client_session(POLICY) as session:
        await HttpFile(session, str(server.make_url("/x")), policy=POLICY).stat()
    assert not {"Authorization", "Cookie"} & set(origin.headers[0])
    assert origin.headers[0]["Accept-Encoding"] == "identity"
