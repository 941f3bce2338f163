"""The image server as operator, agents and strangers see it, over real HTTP; only the API server is played."""

import os
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientPayloadError

from innkeeper.agent.imaging.image_server import ImageServerSession, document
from innkeeper.agent.imaging.partial import DownloadFailedError
from innkeeper.domain.images import manifest, profile
from innkeeper.domain.reasons import ImageReason
from innkeeper.kube.resources import SECRETS
from innkeeper.views.catalog import (
    HttpSource,
    SecretRef,
)
from tests.kit.source_secrets import source_secret
from tests.kit.waiting import eventually
from tests.scenario.images.image_server import DIGEST, DISK, GUEST, OWN, Bench
from tests.scenario.images.origin import Origin


def question(**changes: Any) -> dict[str, Any]:
    return {
        "namespace": "team-a",
        "name": "debian",
        "source": {"directory": {"path": "debian.raw"}},
        "format": "raw",
        "digest": DIGEST,
        **changes,
    }


async def test_the_operator_asks_until_the_image_is_ready(bench: Bench) -> None:
    answers = []

    async def ready() -> bool:
        status, answer = await bench.post("/v1/inspect", "operator-token", question())
        assert status == 200
        answers.append(answer)
        return bool(answer["state"] == "Ready")

    await eventually(ready, deadline_s=10)
    assert answers[-1] == {
        "state": "Ready",
        "format": "raw",
        "size": len(DISK),
        "virtualSize": len(DISK),
        "digest": DIGEST,
        "contentDigest": None,
        "manifestDigest": answers[-1]["manifestDigest"],
        "sourceVersion": answers[-1]["sourceVersion"],
    }
    assert answers[-1]["sourceVersion"].startswith(f"{len(DISK)}-")
    assert answers[-1]["manifestDigest"].startswith("sha256:")


@pytest.mark.parametrize(
    ("token", "status"),
    [(None, 401), ("made-up", 401), ("agent-token", 403), ("user-token", 403)],
)
async def test_only_the_operator_inspects(bench: Bench, token: str | None, status: int) -> None:
    found, answer = await bench.post("/v1/inspect", token, question())
    assert found == status
    assert set(answer) == {"reason", "message"}


@pytest.mark.parametrize("body", [[], {}, {"namespace": "../x"}, question(digest="sha256:1"), "x" * 100_000])
async def test_a_bad_question_gets_a_clear_answer(bench: Bench, body: Any) -> None:
    status, answer = await bench.post("/v1/inspect", "operator-token", body)
    assert status in {413, 422}
    assert answer["message"]


async def test_an_agent_reads_the_image_of_its_guest(bench: Bench) -> None:
    bench.api.put_image()
    bench.api.put_assignment()
    async with bench.http.get(await bench.url()) as answer:
        assert answer.status == 200
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert await answer.read() == DISK


async def test_an_agent_goes_on_where_it_stopped(bench: Bench) -> None:
    bench.api.put_image()
    bench.api.put_assignment()
    url = await bench.url()
    async with bench.http.get(url, headers={"Range": "bytes=1000000-"}) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == f"bytes 1000000-{len(DISK) - 1}/{len(DISK)}"
        assert await answer.read() == DISK[1000000:]
        etag = answer.headers["ETag"]
    async with bench.http.get(url, headers={"Range": f"bytes={len(DISK)}-"}) as answer:
        assert answer.status == 416
        assert answer.headers["Content-Range"] == f"bytes */{len(DISK)}"
    async with bench.http.get(url, headers={"Range": "bytes=0-9", "If-Range": etag}) as answer:
        assert answer.status == 206
    async with bench.http.get(url, headers={"Range": "bytes=0-9", "If-Range": '"older"'}) as answer:
        assert answer.status == 200


async def test_bytes_of_a_private_origin_are_passed_on_and_its_credential_is_not(bench: Bench) -> None:
    origin = Origin(DISK, authorization="Bearer token-1")
    async with origin.server() as server:
        url = server.make_url("/disk.raw")
        bench.api.put_image(http=HttpSource(url=str(url), secret_ref=SecretRef(name="store")))
        bench.api.put_assignment()
        link = await bench.url()
        async with bench.http.get(link) as answer:
            assert answer.status == 502
            assert "the Secret team-a/store is not there" in (await answer.json())["message"]
        secret = source_secret(origin=str(url.origin()), token="token-1")
        bench.api.objects[SECRETS.plural, "team-a", "store"] = secret
        bench.clock.advance(5)
        async with bench.http.get(link, headers={"Range": "bytes=1000000-"}) as answer:
            assert answer.status == 206
            assert await answer.read() == DISK[1000000:]
            assert "token-1" not in str(answer.headers)


async def test_head_tells_the_size(bench: Bench) -> None:
    bench.api.put_image()
    bench.api.put_assignment()
    async with bench.http.head(await bench.url()) as answer:
        assert answer.status == 200
        assert answer.content_length == len(DISK)


@pytest.mark.parametrize("token", ["user-token", "pod-token", "operator-token", "false-friend-token"])
async def test_only_agents_get_urls(bench: Bench, token: str) -> None:
    bench.api.put_assignment()
    status, answer = await bench.post("/v1/urls", token, {"guestId": GUEST})
    assert (status, answer["reason"]) == (403, "NotAllowed")


async def test_an_agent_gets_no_url_for_another_hosts_guest(bench: Bench) -> None:
    bench.api.put_assignment()
    status, answer = await bench.post("/v1/urls", "other-agent-token", {"guestId": GUEST})
    assert (status, answer["reason"]) == (404, "NotFound")


async def test_an_order_copied_to_another_host_opens_nothing(bench: Bench) -> None:
    bench.api.put_assignment(host="h1", namespace="host-h2")
    status, _ = await bench.post("/v1/urls", "other-agent-token", {"guestId": GUEST})
    assert status == 403


async def test_a_guest_that_is_to_be_destroyed_needs_no_image(bench: Bench) -> None:
    bench.api.put_assignment(desired="Destroyed")
    status, _ = await bench.post("/v1/urls", "agent-token", {"guestId": GUEST})
    assert status == 404


@pytest.mark.parametrize("guest_id", ["../x", "", "a/b", "x" * 300, "A"])
async def test_odd_guest_ids_never_reach_the_api_server(bench: Bench, guest_id: str) -> None:
    status, _ = await bench.post("/v1/urls", "agent-token", {"guestId": guest_id})
    assert status == 404


async def test_a_url_ends_and_cannot_be_changed(bench: Bench) -> None:
    bench.api.put_image()
    bench.api.put_assignment()
    url = await bench.url()
    async with bench.http.get(url.replace("team-a", "team-b")) as answer:
        assert answer.status == 403
    bench.clock.advance(61)
    async with bench.http.get(url) as answer:
        assert answer.status == 403


async def test_the_manifest_of_an_inspected_image_is_given_beside_its_bytes(bench: Bench) -> None:
    """Its URL is signed like that of the bytes; one that the server does not have is made before it is given."""
    bench.api.put_image(manifest_digest=OWN)
    url = await bench.manifest_url(OWN)
    async with bench.http.get(url.partition("&manifest=")[0]) as unnamed:
        assert unnamed.status == 404

    async def made() -> bool:
        async with bench.http.get(url) as found:
            assert found.status in {200, 503}
            return found.status == 200

    await eventually(made)
    async with bench.http.get(url) as found:
        chunks = manifest.read(await found.read(), digest=DIGEST, size=len(DISK))
    assert chunks.matches(0, DISK[: chunks.chunk_bytes])
    assert [chunks.is_zero(index) for index in range(len(chunks))] == [False] + [True] * (len(chunks) - 1)
    async with bench.http.get(url.replace("team-a", "team-b")) as refused:
        assert refused.status == 403
    bench.clock.advance(61)
    async with bench.http.get(url) as refused:
        assert refused.status == 403


async def test_a_manifest_that_the_image_has_not_costs_its_source_nothing(bench: Bench) -> None:
    """A host that was taken over may ask for any; each reading would cost the origin the whole image."""
    origin = Origin(DISK)
    async with origin.server() as server:
        bench.api.put_image(http=HttpSource(url=str(server.make_url("/disk.raw"))), manifest_digest=OWN)
        for number in range(5):
            url = await bench.manifest_url(f"sha256:{number:064x}")
            async with bench.http.get(url) as answer:
                assert answer.status == 404
        assert origin.requests == []


async def test_a_lost_manifest_that_cannot_be_made_again_says_why(bench: Bench) -> None:
    """The host passes it on. Not as 404: it would take that for an image without a manifest."""
    bench.api.put_image(path="gone.raw", manifest_digest=OWN)
    url = await bench.manifest_url(OWN)

    async def told() -> bool:
        with pytest.raises(DownloadFailedError, match="the image server answers HTTP 503: ") as caught:
            await document(session, url, most=1024**2)
        return "there is no file 'gone.raw'" in caught.value.message

    async with ImageServerSession(None) as session:
        await eventually(told, deadline_s=60)


async def test_hosts_tell_what_boots_read_and_the_next_hosts_are_told(bench: Bench) -> None:
    """The first three boots are learnt from; what makes no sense is refused; the URL is the only right."""
    bench.api.put_image()
    bench.api.put_assignment()
    _, answer = await bench.post("/v1/urls", "agent-token", {"guestId": GUEST})
    parts = urlsplit(answer["profileUrl"])
    url = str(bench.server.make_url(f"{parts.path}?{parts.query}"))

    async def told() -> list[int] | None:
        async with bench.http.get(url) as found:
            return list(profile.read(await found.read())) if found.status == 200 else None

    async def tell(body: bytes) -> int:
        async with bench.http.put(url, data=body) as answer:
            return answer.status

    assert await told() is None
    assert await tell(profile.encode([7, 3])) == 204
    assert await told() == [7, 3]
    assert await tell(b"[1, 2]") == 422
    assert await tell(profile.encode([3, 9])) == 204
    assert await tell(profile.encode([4])) == 204
    assert await tell(profile.encode([5])) == 204
    assert await told() == [7, 3, 9, 4], "what later boots read comes last, and the fourth teaches nothing"
    async with bench.http.put(url.replace("team-a", "team-b"), data=profile.encode([1])) as refused:
        assert refused.status == 403


async def test_an_image_that_has_another_digest_now_is_not_served(bench: Bench) -> None:
    bench.api.put_image(digest="sha256:" + "0" * 64)
    bench.api.put_assignment()
    async with bench.http.get(await bench.url()) as answer:
        assert answer.status == 404


async def test_a_source_that_is_gone_is_404_and_comes_back(bench: Bench) -> None:
    bench.api.put_image()
    bench.api.put_assignment()
    file = bench.directory / "debian.raw"
    file.rename(file.with_suffix(".away"))
    async with bench.http.get(await bench.url()) as answer:
        assert answer.status == 404
        assert (await answer.json())["reason"] == ImageReason.NOT_FOUND
    file.with_suffix(".away").rename(file)
    async with bench.http.get(await bench.url()) as answer:
        assert answer.status == 200


async def test_a_token_is_looked_at_again_after_a_minute(bench: Bench) -> None:
    for _ in range(3):
        await bench.post("/v1/inspect", "operator-token", question())
    assert bench.api.reviews == 1
    bench.clock.advance(61)
    await bench.post("/v1/inspect", "operator-token", question())
    assert bench.api.reviews == 2


async def test_an_api_server_that_is_away_is_503_and_says_when_to_try_again(bench: Bench) -> None:
    bench.api.down = True
    url = bench.server.make_url("/v1/urls")
    headers = {"Authorization": "Bearer agent-token"}
    async with bench.http.post(url, json={"guestId": GUEST}, headers=headers) as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"]


@pytest.mark.parametrize("which", ["url", "packedUrl"])
async def test_a_source_that_shrinks_breaks_the_stream_off(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    """A reader must never take half an image for the whole."""
    bench.api.put_image()
    bench.api.put_assignment()
    url = await bench.url(which=which)
    monkeypatch.setattr("innkeeper.images.sources.directory.CHUNK_BYTES", 4096)
    reads = 0
    real = os.pread

    def shrinking(descriptor: int, size: int, offset: int) -> bytes:
        nonlocal reads
        reads += 1
        return real(descriptor, size, offset) if reads < 5 else b""

    monkeypatch.setattr("innkeeper.images.sources.directory.os.pread", shrinking)
    async with bench.http.get(url) as answer:
        with pytest.raises((ClientPayloadError, ConnectionError)):
            await answer.read()


async def test_unknown_paths_are_json_errors(bench: Bench) -> None:
    async with bench.http.get(bench.server.make_url("/v1/nothing")) as answer:
        assert answer.status == 404
        assert (await answer.json())["reason"] == "NotFound"
