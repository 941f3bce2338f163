"""What is taken for a digest of an image, and what a person reads where bytes have another one."""

import hashlib

import pytest

from innkeeper.domain.images.digests import MAX_LENGTH, Digest, DigestInvalidError

SHA256 = f"sha256:{'0a' * 32}"
SHA512 = f"sha512:{'0a' * 64}"


@pytest.mark.parametrize("text", [SHA256, SHA512])
def test_a_digest_is_read_and_written_alike(text: str) -> None:
    digest = Digest.parse(text)
    assert f"{digest.algorithm}:{digest.hex}" == str(digest) == text
    assert len(text) <= MAX_LENGTH


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "0a" * 32,
        SHA256.upper(),
        SHA256[:-1],
        f"{SHA256}0",
        f"{SHA512}\n",
        f" {SHA256}",
        f"sha256:{'0a' * 64}",
        f"sha512:{'0a' * 32}",
        f"sha384:{'0a' * 48}",
        f"md5:{'0a' * 16}",
        f"sha1:{'0a' * 20}",
        "sha256:../../etc/passwd",
        f"sha256:{chr(0x660) * 64}",  # digits of another script
    ],
)
def test_all_else_is_refused_and_says_what_to_write(text: str) -> None:
    with pytest.raises(
        DigestInvalidError, match="write sha256: and 64 hex digits, or sha512: and 128"
    ) as caught:
        Digest.parse(text)
    assert not caught.value.retryable
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_bytes_are_hashed_by_the_declared_algorithm(algorithm: str) -> None:
    declared = Digest.parse(f"{algorithm}:{hashlib.new(algorithm, b'disk').hexdigest()}")
    hashed = declared.new_hash()
    hashed.update(b"di")
    hashed.update(b"sk")
    assert declared.found_by(hashed) == declared
    assert declared.mismatch(declared.found_by(hashed)) is None


@pytest.mark.parametrize("text", [SHA256, SHA512])
def test_a_mismatch_shows_both(text: str) -> None:
    declared = Digest.parse(text)
    found = declared.found_by(declared.new_hash())
    said = declared.mismatch(found)
    assert said is not None
    assert text in said
    assert str(found) in said
