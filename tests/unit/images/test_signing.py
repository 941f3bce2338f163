"""A signed URL opens one image, one digest, for minutes, and nothing else."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from innkeeper.images.signing import BlobName, UrlSigner, load_key
from tests.kit.clock import ManualClock

BLOB = BlobName("team-a", "debian", "sha256:" + "a" * 64)
KEY = bytes(range(32))


def signer(clock: ManualClock, *, key: bytes = KEY) -> UrlSigner:
    return UrlSigner(key, base_url="http://images.test/", clock=clock, lifetime_s=60)


def signed(clock: ManualClock) -> tuple[str, str]:
    query = parse_qs(urlsplit(signer(clock).sign(BLOB).url).query)
    return query["expires"][0], query["signature"][0]


def test_the_url_names_the_blob_and_its_end() -> None:
    clock = ManualClock()
    made = signer(clock).sign(BLOB)
    assert urlsplit(made.url).path == f"/v1/blobs/team-a/debian/{BLOB.digest}"
    assert made.url.startswith("http://images.test/v1/blobs/")
    assert made.packed_url == made.url.replace("/v1/blobs/", "/v1/packed/")
    assert made.expires_at.endswith("Z")


def test_packed_bytes_are_offered_unless_the_server_is_told_not_to() -> None:
    plain = UrlSigner(KEY, base_url="http://images.test", clock=ManualClock(), offer_packed=False)
    assert plain.sign(BLOB).packed_url is None


def test_a_url_is_valid_until_its_end() -> None:
    clock = ManualClock()
    expires, signature = signed(clock)
    assert signer(clock).valid(BLOB, expires=expires, signature=signature)
    clock.advance(61)
    assert not signer(clock).valid(BLOB, expires=expires, signature=signature)


@pytest.mark.parametrize(
    "other",
    [
        BlobName("team-b", BLOB.name, BLOB.digest),
        BlobName(BLOB.namespace, "secret", BLOB.digest),
        BlobName(BLOB.namespace, BLOB.name, "sha256:" + "b" * 64),
        BlobName("team-a\ndebian", BLOB.digest, ""),
    ],
)
def test_a_signature_opens_nothing_else(other: BlobName) -> None:
    clock = ManualClock()
    expires, signature = signed(clock)
    assert not signer(clock).valid(other, expires=expires, signature=signature)


@pytest.mark.parametrize("expires", ["", "-1", "1e99", "99999999999", "٣", "9" * 400])
def test_a_later_end_cannot_be_written_into_the_url(expires: str) -> None:
    clock = ManualClock()
    _, signature = signed(clock)
    assert not signer(clock).valid(BLOB, expires=expires, signature=signature)


@pytest.mark.parametrize("signature", ["", "x", "ü" * 43, "\ud800"])
def test_a_made_up_signature_is_refused(signature: str) -> None:
    clock = ManualClock()
    expires, _ = signed(clock)
    assert not signer(clock).valid(BLOB, expires=expires, signature=signature)


def test_another_key_signs_other_urls() -> None:
    clock = ManualClock()
    expires, signature = signed(clock)
    assert not signer(clock, key=b"k" * 32).valid(BLOB, expires=expires, signature=signature)


def test_short_keys_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"short")
    with pytest.raises(ValueError, match="32"):
        load_key(path)
    with pytest.raises(ValueError, match="32"):
        signer(ManualClock(), key=b"short")


def test_a_key_file_is_shared_and_no_file_means_a_random_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(KEY)
    assert load_key(path) == KEY
    assert load_key(None) != load_key(None)
